@_exported import Foundation

@MainActor
open class UIDevice: NSObject {
    open class var current: UIDevice { UIDevice() }
    open var systemName: String { "" }
    open var systemVersion: String { "" }
}

@MainActor
open class UIApplication: NSObject {
    open class var shared: UIApplication { UIApplication() }
    open var isIdleTimerDisabled = false
}

public final class UIImage: NSObject, Sendable {
    public init?(contentsOfFile path: String) {}
    public func jpegData(compressionQuality: CGFloat) -> Data? { nil }
}

@MainActor
open class UIViewController: NSObject {}

@MainActor
open class UINavigationController: UIViewController {}

@MainActor
public protocol UINavigationControllerDelegate: NSObjectProtocol {}

@MainActor
public protocol UIImagePickerControllerDelegate: NSObjectProtocol {
    func imagePickerController(
        _ picker: UIImagePickerController, didFinishPickingMediaWithInfo info: [UIImagePickerController.InfoKey: Any])
    func imagePickerControllerDidCancel(_ picker: UIImagePickerController)
}

@MainActor
open class UIImagePickerController: UINavigationController {
    public struct InfoKey: Hashable, Sendable {
        public static let originalImage = InfoKey()
    }
    public enum SourceType: Int, Sendable { case photoLibrary, camera, savedPhotosAlbum }

    open class func isSourceTypeAvailable(_ sourceType: SourceType) -> Bool { true }
    open var sourceType = SourceType.photoLibrary
    open weak var delegate: (any UIImagePickerControllerDelegate & UINavigationControllerDelegate)?
}
