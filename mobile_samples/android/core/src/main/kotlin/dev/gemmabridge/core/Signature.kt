package dev.gemmabridge.core

/** An input or output of a model's: its type by the manifest's name, and 0 for a dimension that is open. */
data class TensorSpec(val name: String, val dtype: String, val shape: List<Long>)

/**
 * A function of a model.
 *
 * @property section of ONNX the file's name without `.onnx`.
 */
class Signature internal constructor(fields: Fields) {
    val section = fields.text("section")
    val inputs = fields.children("inputs").map { tensor(it) }
    val outputs = fields.children("outputs").map { tensor(it) }

    private fun tensor(fields: Fields) =
        TensorSpec(fields.text("name"), fields.text("dtype"), fields.integers("shape").map { it.toLong() })
}

/**
 * Layout and size of the KV cache.
 *
 * @property owners layers that have keys and values.
 * @property bytes at full context.
 * @property ring most rows of sliding layers; null: as many as the context.
 */
data class CacheLayout(val dtype: String, val owners: IntArray, val bytes: Long, val ring: Long?)
