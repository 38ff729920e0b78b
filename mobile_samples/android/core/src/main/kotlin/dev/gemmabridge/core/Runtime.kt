package dev.gemmabridge.core

/**
 * An engine that bundles are made for, by its name in the manifest.
 *
 * @property wire that name.
 * @property cuts whether it cuts pictures itself, from a file; otherwise it is given what an app cuts.
 */
enum class Runtime(val wire: String, val cuts: Boolean) {
    /** One file holds everything; the engine makes the calls. */
    LITERT_LM("LiteRT-LM", cuts = true) {
        override fun files(manifest: Listed) = listOf(manifest.model)

        override fun artifact(manifest: Listed) = manifest.model.sha256
    },

    /** Graphs with their weights beside them, tokenizer and template; the app makes the calls. */
    ONNX("ONNX Runtime", cuts = false) {
        override fun files(manifest: Listed): List<BundleFile> {
            val graphs = manifest.signatures.map { it.section + GRAPH }
            if (manifest.model.name !in graphs) throw RefusedException("manifest.signatures does not tell of ${manifest.model.name}")
            val data = graphs.map { it + DATA }.filter { it in manifest.files }
            return (graphs + data + TEXT).map { name ->
                manifest.files[name] ?: throw RefusedException("manifest.files lacks $name, which ${this.wire} needs")
            }
        }

        /** Of what `sha256sum` prints of all graphs and their weights, by name; those in folders are others' copies. */
        override fun artifact(manifest: Listed): String {
            val beside = manifest.files.values.filter { '/' !in it.name }
            val parts = beside.filter { it.name.endsWith(GRAPH) || it.name.endsWith(GRAPH + DATA) }
            val lines = parts.sortedBy { it.name }.joinToString("") { "${it.sha256}  ${it.name}\n" }
            return Digest.sha256(lines.toByteArray(Charsets.UTF_8))
        }
    }, ;

    /** What a manifest lists of the model. */
    class Listed internal constructor(val model: BundleFile, val files: Map<String, BundleFile>, val signatures: List<Signature>)

    /** The files that the engine reads. */
    internal abstract fun files(manifest: Listed): List<BundleFile>

    /** What was judged, as one SHA-256. */
    internal abstract fun artifact(manifest: Listed): String

    companion object {
        const val TOKENIZER = "tokenizer.json"
        const val TEMPLATE = "chat_template.jinja"
        private const val GRAPH = ".onnx"
        private const val DATA = ".data"
        private val TEXT = listOf(TOKENIZER, TEMPLATE)

        /** @throws RefusedException this app has no such engine. */
        fun of(name: String): Runtime = values().firstOrNull { it.wire == name }
            ?: throw RefusedException("manifest.runtime.name is ${Json.quote(name)}; this app knows ${values().joinToString { it.wire }}")
    }
}
