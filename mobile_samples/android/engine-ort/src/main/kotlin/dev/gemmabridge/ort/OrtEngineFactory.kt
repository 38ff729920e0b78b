package dev.gemmabridge.ort

import dev.gemmabridge.core.Backend
import dev.gemmabridge.core.Engine
import dev.gemmabridge.core.EngineFactory
import dev.gemmabridge.core.EngineSettings
import dev.gemmabridge.core.Feeding
import dev.gemmabridge.core.Manifest
import dev.gemmabridge.core.NamedToken
import dev.gemmabridge.core.RefusedException
import dev.gemmabridge.core.Runtime
import dev.gemmabridge.core.Utf8
import dev.gemmabridge.ort.template.ChatTemplate
import dev.gemmabridge.ort.text.Tokenizer
import java.io.File
import java.io.IOException

/**
 * Loads bundles for ONNX Runtime with `com.microsoft.onnxruntime:onnxruntime-android`.
 *
 * @param manifest of the bundle: its files lie beside the model, checked.
 */
class OrtEngineFactory(private val manifest: Manifest) : EngineFactory {
    override val backends: List<Backend> = listOf(Backend.CPU)

    override fun open(settings: EngineSettings, backend: Backend): Engine = OrtEngine.told {
        if (manifest.runtime != Runtime.ONNX) throw RefusedException("the bundle is for ${manifest.runtime.wire}")
        val folder = File(settings.modelPath).absoluteFile.parentFile!!
        val tokenizer = Tokenizer.read(File(folder, Runtime.TOKENIZER))
        val feeding = manifest.feeding
        val around = feeding.images?.cutting?.around?.let { listOf(it.begin, it.each, it.end) }.orEmpty()
        for (token in feeding.stops + feeding.start + feeding.roles.values + around) check(token, tokenizer)
        agree(feeding)
        val template = ChatTemplate(read(File(folder, Runtime.TEMPLATE)))
        OrtEngine(Graphs.open(manifest, folder, settings.threads), tokenizer, template, feeding, manifest.contextTokens)
    }

    /** A token of another number would never come, or come in the middle of a word. */
    private fun check(token: NamedToken, tokenizer: Tokenizer) {
        val found = tokenizer.text(token.id)
        if (found != token.text) throw RefusedException("token ${token.id} is $found in the tokenizer, ${token.text} in the manifest")
    }

    /** Roles and what is done with them: where they differ one of them is wrong, and a self-test may not notice. */
    private fun agree(feeding: Feeding) {
        val first = feeding.roles["bos_token"]
        if (first != null && first != feeding.start) throw RefusedException("manifest.feeding begins with ${feeding.start.text}, not ${first.text}")
        for (role in ENDS) {
            val token = feeding.roles[role] ?: continue
            if (token !in feeding.stops) throw RefusedException("manifest.feeding.tokens.stops lacks ${token.text}, the $role")
        }
    }

    private fun read(file: File): String = try {
        Utf8.decode(file.readBytes(), file.name)
    } catch (error: IOException) {
        throw RefusedException("${file.name} cannot be read: ${error.message}", error)
    }

    private companion object {
        /** Every checkpoint's end of a text and of a turn end an answer. */
        val ENDS = listOf("eos_token", "eot_token")
    }
}
