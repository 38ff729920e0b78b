import Accessibility
import GemmaChat
import GemmaCore
import PhotosUI
import SwiftUI

/// The button that adds a picture to the next message: from the library or, where there is one, from the camera.
struct AddPicture: View {
    let attach: @MainActor (@escaping Presenter.PictureSource) -> Void
    @State private var chooses = false
    @State private var takes = false
    @State private var chosen: PhotosPickerItem?

    var body: some View {
        Menu {
            Button(Words.choosePicture, systemImage: "photo.on.rectangle") { chooses = true }
            if Camera.isThere {
                Button(Words.takePhoto, systemImage: "camera") { takes = true }
            }
        } label: {
            Label(Words.addPicture, systemImage: "photo.circle")
                .labelStyle(.iconOnly)
                .font(.largeTitle)
                .frame(minWidth: 44, minHeight: 44)
        }
        // The picker runs outside of the app: no permission is asked for.
        .photosPicker(isPresented: $chooses, selection: $chosen, matching: .images)
        .onChange(of: chosen) { _, now in
            guard let now else { return }
            chosen = nil
            attach { try await now.loadTransferable(type: Data.self) }
        }
        .fullScreenCover(isPresented: $takes) {
            Camera { photo in
                takes = false
                // JPEG with its orientation, as a file of the library has it.
                if let photo { attach { photo.jpegData(compressionQuality: 0.95) } }
            }
        }
    }
}

/// What goes with the next message, or why the picture that was chosen does not.
struct Attached: View {
    let screen: Screen
    let detach: @MainActor () -> Void

    var body: some View {
        HStack(spacing: 10) {
            if let picture = screen.picture {
                PictureView(picture: picture)
                    .frame(maxWidth: 64, maxHeight: 64)
                    .accessibilityHidden(true)
            }
            Text(Words.attached(screen))
                .font(.footnote)
                .foregroundStyle(screen.pictureTrouble == nil ? Theme.muted : Theme.failed)
                .frame(maxWidth: .infinity, alignment: .leading)
            Button(Words.removePicture, systemImage: "xmark.circle", action: detach)
                .labelStyle(.iconOnly)
                .font(.title2)
                .frame(minWidth: 44, minHeight: 44)
                .disabled(screen.readsPicture)
        }
        .padding(.horizontal, 12)
        .onChange(of: screen.pictureTrouble) { _, now in
            if let now { AccessibilityNotification.Announcement(Words.trouble(now)).post() }
        }
    }
}

/// A picture of a message, small.
struct PictureView: View {
    let picture: Picture

    var body: some View {
        if let image = UIImage(contentsOfFile: picture.thumbnail.path) {
            Image(uiImage: image)
                .resizable()
                .scaledToFit()
                .clipShape(.rect(cornerRadius: 14))
                .accessibilityLabel(Words.picture(picture))
        }
    }
}
