package dev.gemmabridge.test

import dev.gemmabridge.core.Json
import dev.gemmabridge.core.Manifest
import dev.gemmabridge.core.RefusedException
import java.io.File

/** Reads the manifests whose paths come on standard input, one a line; answers each with what it understood, or why not. */
fun main() {
    for (path in generateSequence(::readlnOrNull)) {
        val answer = try {
            val manifest = Manifest.parse(File(path).readBytes())
            mapOf(
                "name" to manifest.name,
                "model" to manifest.model.name,
                "context" to manifest.contextTokens.toLong(),
                "stops" to manifest.feeding.stops.map { it.id.toLong() },
                "start" to manifest.feeding.start.id.toLong(),
                "runtime" to manifest.runtime.wire,
                "kv_cache" to manifest.memory.kvCache,
                "sha256" to manifest.model.sha256,
                "files" to manifest.files.size.toLong(),
                "packed_weights" to manifest.packedWeights,
                "drafter" to manifest.drafter,
            )
        } catch (error: RefusedException) {
            mapOf("error" to (error.message ?: ""))
        }
        println(Json.write(answer))
    }
}
