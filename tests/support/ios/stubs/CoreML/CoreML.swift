// Core ML as its headers and documentation have it, iOS 18. As there, its classes are not Sendable.
@_exported import Foundation

public enum MLComputeUnits: Int, @unchecked Sendable {
    case cpuOnly = 0, cpuAndGPU = 1, all = 2, cpuAndNeuralEngine = 3
}

open class MLModelConfiguration: NSObject {
    open var computeUnits: MLComputeUnits = .all
    open var functionName: String?
    open var allowLowPrecisionAccumulationOnGPU = false
}

public enum MLMultiArrayDataType: Int, @unchecked Sendable {
    case double = 65600, float32 = 65568, float16 = 65552, int32 = 131104
}

open class MLMultiArray: NSObject {
    open var dataType: MLMultiArrayDataType { .float32 }
    open var shape: [NSNumber] { [] }
    open var strides: [NSNumber] { [] }
    open var count: Int { 0 }

    public init(shape: [NSNumber], dataType: MLMultiArrayDataType) throws {}

    public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try body(UnsafeRawBufferPointer(start: nil, count: 0))
    }

    public func withUnsafeMutableBytes<R>(
        _ body: (UnsafeMutableRawBufferPointer, [Int]) throws -> R
    ) rethrows -> R {
        try body(UnsafeMutableRawBufferPointer(start: nil, count: 0), [])
    }
}

open class MLFeatureValue: NSObject {
    public convenience init(multiArray value: MLMultiArray) { self.init() }
    open var multiArrayValue: MLMultiArray? { nil }
}

public protocol MLFeatureProvider: AnyObject {
    var featureNames: Set<String> { get }
    func featureValue(for featureName: String) -> MLFeatureValue?
}

open class MLDictionaryFeatureProvider: NSObject, MLFeatureProvider {
    public init(dictionary: [String: Any]) throws {}
    open var featureNames: Set<String> { [] }
    open func featureValue(for featureName: String) -> MLFeatureValue? { nil }
}

open class MLPredictionOptions: NSObject {
    open var outputBackings: [String: Any] = [:]
}

open class MLState: NSObject {
    public func withMultiArray<R>(for stateName: String, _ body: (MLMultiArray) throws -> R) rethrows -> R {
        fatalError()
    }
}

open class MLModel: NSObject {
    open class func compileModel(at modelURL: URL) async throws -> URL { modelURL }

    public class func load(
        contentsOf url: URL, configuration: MLModelConfiguration = MLModelConfiguration()
    ) async throws -> MLModel {
        MLModel()
    }

    open func makeState() -> MLState { MLState() }

    open func prediction(from input: any MLFeatureProvider) throws -> any MLFeatureProvider { input }

    open func prediction(
        from input: any MLFeatureProvider, options: MLPredictionOptions = MLPredictionOptions()
    ) async throws -> any MLFeatureProvider {
        input
    }

    open func prediction(from input: any MLFeatureProvider, using state: MLState) throws -> any MLFeatureProvider {
        input
    }

    open func prediction(
        from input: any MLFeatureProvider, using state: MLState, options: MLPredictionOptions = MLPredictionOptions()
    ) async throws -> any MLFeatureProvider {
        input
    }
}
