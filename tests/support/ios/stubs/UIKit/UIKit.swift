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
