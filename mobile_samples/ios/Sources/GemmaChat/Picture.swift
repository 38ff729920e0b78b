import Foundation
import GemmaCore

/// A picture as an engine is given it: upright, small, without transparency, as PNG.
public struct Picture: Equatable, Sendable {
    /// Stays as long as a conversation has the picture in it.
    public let file: URL
    /// A smaller one for the screen.
    public let thumbnail: URL
    /// Of what the user chose, upright.
    public let size: Extent

    public init(file: URL, thumbnail: URL, size: Extent) {
        self.file = file
        self.thumbnail = thumbnail
        self.size = size
    }
}

/// Pictures for messages.
extension Presenter {
    /// Gives the bytes of a picture's file; nil where there are none.
    public typealias PictureSource = @Sendable () async throws -> Data?

    /// A picture for the next message, in the place of one that was chosen before.
    public func attach(_ source: @escaping PictureSource) {
        guard screen.pictures else { return }
        update {
            $0.readsPicture = true
            $0.pictureTrouble = nil
        }
        work { presenter in
            defer { presenter.update { $0.readsPicture = false } }
            guard presenter.screen.pictures, let images = presenter.store?.manifest.feeding.images else { return }
            let before = presenter.screen.picture
            do {
                let picture = try await presenter.read(source, images)
                presenter.update {
                    $0.picture = picture
                    $0.readsPicture = false
                }
                if let before { presenter.forget(before) }
            } catch let trouble as PictureTrouble {
                presenter.update {
                    $0.pictureTrouble = trouble
                    $0.readsPicture = false
                }
            }
        }
    }

    /// Takes back the picture that was chosen, or the word that there is none.
    public func detach() {
        let picture = screen.picture
        update {
            $0.picture = nil
            $0.pictureTrouble = nil
        }
        if let picture { work { $0.forget(picture) } }
    }

    private func read(_ source: @escaping PictureSource, _ images: Images) async throws -> Picture {
        let phone = phone, folder = pictures
        try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        // Decoding takes a while, and this is the views' thread.
        return try await Task.detached {
            guard let data = try? await source() else { throw PictureTrouble.gone }
            guard data.count <= PictureCheck.mostBytes else { throw PictureTrouble.tooLarge }
            return try phone.picture(data, images, into: folder)
        }.value
    }

    private func forget(_ picture: Picture) {
        for file in [picture.file, picture.thumbnail] { try? FileManager.default.removeItem(at: file) }
    }

    /// Deletes the pictures of conversations that are over; the one for the next message stays.
    func forgetPictures() {
        let kept = screen.picture.map { [$0.file.lastPathComponent, $0.thumbnail.lastPathComponent] } ?? []
        for name in (try? FileManager.default.contentsOfDirectory(atPath: pictures.path)) ?? []
        where !kept.contains(name) {
            try? FileManager.default.removeItem(at: pictures.appendingPathComponent(name))
        }
    }

    private var pictures: URL { phone.storage.appendingPathComponent("pictures") }
}
