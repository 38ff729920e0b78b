package dev.gemmabridge.core

/** A file of the bundle by content. */
data class BundleFile(val name: String, val bytes: Long, val sha256: String)

/**
 * What a model needs of the device, in bytes.
 *
 * @property mappedWeights every token reads them, so they must stay in memory.
 * @property mappedEmbeddings a token touches a few pages only.
 * @property kvCache at full context.
 * @property pictures weights that read a picture, and what reading one takes beside them, as far as it is known; 0 where the model takes none.
 */
data class MemoryNeed(val mappedWeights: Long, val mappedEmbeddings: Long, val kvCache: Long, val pictures: Long = 0)

/** One rung of the parity ladder; [verdict] is `pass` or `not run: <why>`. */
data class Rung(val name: String, val question: String, val verdict: String)

/**
 * A bundle's `manifest.json`, as far as an app needs it.
 *
 * @property name the model's name, for people.
 * @property model the model file's entry in [files].
 * @property modelFiles all files that the engine reads, the model among them.
 * @property artifactSha256 of what was judged: of the model, or of its files together.
 * @property contextTokens positions of the KV cache.
 * @property feeding tokens with a meaning, and how one is drawn: as the engine has them from the model file.
 * @property runtime the engine that judged the bundle, and its version: no other one was run.
 * @property packedWeights bytes that the engine writes when it first loads the model on the CPU: see [FirstStart].
 * @property drafter whether the model file holds a drafter.
 * @property signatures what the model takes and gives, and [cache] what it keeps: for an engine whose calls the app makes.
 */
class Manifest private constructor(
    val name: String,
    val model: BundleFile,
    val files: Map<String, BundleFile>,
    val modelFiles: List<BundleFile>,
    val artifactSha256: String,
    val contextTokens: Int,
    val feeding: Feeding,
    val memory: MemoryNeed,
    val signatures: List<Signature>,
    val cache: CacheLayout,
    val runtime: Runtime,
    val minimumRuntime: String,
    val packedWeights: Long,
    val drafter: Boolean,
    val rungs: List<Rung>,
    val licence: String,
    val source: String,
) {
    /**
     * This manifest, where the bundle was made for an engine.
     *
     * @throws RefusedException it was made for another.
     */
    fun madeFor(engine: Runtime): Manifest = if (runtime == engine) this else {
        throw RefusedException("the bundle is for ${runtime.wire}, this app was built with ${engine.wire}")
    }

    companion object {
        private const val SELF = "\"self_sha256\": \""
        private val NAME = Regex("[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")

        /**
         * Reads a manifest and checks it against its own SHA-256.
         *
         * @throws RefusedException not a manifest of version 1 for Android, damaged, or with a file name that leaves the
         *     folder.
         */
        fun parse(bytes: ByteArray): Manifest {
            val text = Utf8.decode(bytes, "manifest.json")
            val root = Fields.of(text, "manifest")
            val version = root.integer("schema_version")
            if (version != 1L) throw RefusedException("manifest.schema_version is $version; this app reads 1")
            val platform = root.text("platform")
            if (platform != "android") throw RefusedException("manifest.platform is $platform; this app reads android")
            checkSelf(text, root.sha256("self_sha256"))
            return read(root)
        }

        private fun read(root: Fields): Manifest {
            val listed = root.child("files")
            val files = LinkedHashMap<String, BundleFile>()
            for (name in listed.keys()) {
                // A name becomes a path on the device: it must stay inside the folder.
                if (!name.split('/').all { NAME.matches(it) }) {
                    throw RefusedException("manifest.files: ${Json.quote(name)} is no file name that is allowed")
                }
                val file = listed.child(name)
                files[name] = BundleFile(name, file.count("bytes"), file.sha256("sha256"))
            }
            val modelName = root.text("model")
            val model = files[modelName]
            if (model == null || '/' in modelName) {
                throw RefusedException("manifest.model ${Json.quote(modelName)} is not one of manifest.files")
            }
            val ran = root.child("runtime")
            val runtime = Runtime.of(ran.text("name"))
            val signatures = root.children("signatures").map { Signature(it) }
            val parts = Runtime.Listed(model, files, signatures)
            val artifact = runtime.artifact(parts)
            if (root.child("parity").sha256("artifact_sha256") != artifact) {
                throw RefusedException("manifest.parity judges another file than $modelName")
            }
            val cache = root.child("kv_cache")
            val context = cache.count("context")
            if (context !in 1..MAX_CONTEXT) throw RefusedException("manifest.kv_cache.context is $context")
            val memory = root.child("memory")
            val feeding = Feeding.read(root.child("feeding"))
            checkImages(feeding, runtime)
            return Manifest(
                name = root.text("name"),
                model = model,
                files = files,
                modelFiles = runtime.files(parts),
                artifactSha256 = artifact,
                contextTokens = context.toInt(),
                feeding = feeding,
                memory = MemoryNeed(
                    memory.count("mapped_weights"),
                    memory.count("mapped_embeddings"),
                    memory.count("kv_cache"),
                    pictures(memory),
                ),
                signatures = signatures,
                cache = CacheLayout(cache.text("dtype"), cache.integers("owners"), cache.count("bytes"), cache.countOrNull("ring")),
                runtime = runtime,
                minimumRuntime = ran.text("minimum"),
                packedWeights = ran.countOrNull("packed_weights") ?: 0,
                drafter = root.childOrNull("drafter") != null,
                rungs = root.child("parity").children("rungs").map {
                    Rung(it.text("rung"), it.text("question"), it.text("verdict"))
                },
                licence = root.child("licence").text("spdx"),
                source = root.child("source").text("id"),
            )
        }

        private fun checkImages(feeding: Feeding, runtime: Runtime) {
            val images = feeding.images ?: return
            if ((images.cutting == null) == runtime.cuts) return
            val (said, done) = if (runtime.cuts) Pair("null", "cuts pictures itself") else Pair("a runtime's", "leaves that to the app")
            throw RefusedException("manifest.feeding.images.cut_by is $said; ${runtime.wire} $done")
        }

        private fun pictures(memory: Fields): Long {
            if (!memory.has("images")) return 0
            val images = memory.child("images")
            return MemoryCheck.plus(images.count("mapped_weights"), images.countOrNull("working") ?: 0)
        }

        /** `self_sha256` is of the file with these 64 digits as zeros. */
        private fun checkSelf(text: String, said: String) {
            val at = text.indexOf(SELF) + SELF.length
            if (at < SELF.length || !text.startsWith(said, at)) {
                throw RefusedException("manifest.self_sha256 does not stand in the text as it was read")
            }
            val zeroed = text.substring(0, at) + "0".repeat(64) + text.substring(at + 64)
            if (Digest.sha256(zeroed.toByteArray(Charsets.UTF_8)) != said) {
                throw RefusedException("manifest.json is damaged: it has another SHA-256 than it says")
            }
        }

        private const val MAX_CONTEXT = 1L shl 24
    }
}
