package dev.gemmabridge.ort

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OrtSession
import ai.onnxruntime.TensorInfo
import dev.gemmabridge.core.Manifest
import dev.gemmabridge.core.RefusedException
import dev.gemmabridge.core.Signature
import dev.gemmabridge.core.TensorSpec

/** Holds a graph to what the manifest says of it. */
internal object Agreement {
    /** What the converter writes into a graph of the most tokens that it was made for. */
    private const val CONTEXT = "gemma_bridge.context"
    private val TYPES = mapOf("float32" to OnnxJavaType.FLOAT, "int64" to OnnxJavaType.INT64)

    /** @throws RefusedException the graph is another than the manifest says. */
    fun check(session: OrtSession, signature: Signature, manifest: Manifest) {
        val where = signature.section + Wiring.GRAPH
        for ((said, found) in listOf(Pair(signature.inputs, session.inputInfo), Pair(signature.outputs, session.outputInfo))) {
            val names = said.map { it.name }
            if (names.toSet() != found.keys) throw RefusedException("$where has ${found.keys}, the manifest says $names")
            for (spec in said) check(where, spec, found.getValue(spec.name).info as? TensorInfo)
        }
        val context = session.metadata.customMetadata[CONTEXT]
        if (context != manifest.contextTokens.toString()) {
            throw RefusedException("$where was made for $context tokens, manifest.kv_cache.context is ${manifest.contextTokens}")
        }
    }

    private fun check(where: String, spec: TensorSpec, found: TensorInfo?) {
        val open = spec.shape.map { if (it == 0L) -1L else it }
        if (found == null || found.type != TYPES[spec.dtype] || found.getShape().toList() != open) {
            val has = "${found?.type} ${found?.getShape()?.toList()}"
            throw RefusedException("$where has ${spec.name} as $has; the manifest says ${spec.dtype} $open")
        }
    }
}
