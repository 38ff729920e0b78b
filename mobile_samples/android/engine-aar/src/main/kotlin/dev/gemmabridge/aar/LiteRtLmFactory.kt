package dev.gemmabridge.aar

import com.google.ai.edge.litertlm.EngineConfig
import dev.gemmabridge.core.Backend
import dev.gemmabridge.core.Engine
import dev.gemmabridge.core.EngineException
import dev.gemmabridge.core.EngineFactory
import dev.gemmabridge.core.EngineSettings
import com.google.ai.edge.litertlm.Backend as NativeBackend
import com.google.ai.edge.litertlm.Engine as Native

/**
 * Loads models with Google's Kotlin API: on the GPU, and on the CPU where that does not pass the self-test.
 *
 * @param libraries the app's folder of native libraries, where those of an NPU are looked for.
 * @param npu whether to try an NPU first: that needs a model compiled for this very chip.
 */
class LiteRtLmFactory(private val libraries: String, npu: Boolean = false) : EngineFactory {
    override val backends: List<Backend> =
        if (npu) listOf(Backend.NPU, Backend.GPU, Backend.CPU) else listOf(Backend.GPU, Backend.CPU)

    override fun open(settings: EngineSettings, backend: Backend): Engine {
        val native = Native(
            EngineConfig(
                modelPath = settings.modelPath,
                backend = when (backend) {
                    Backend.CPU -> if (settings.threads > 0) NativeBackend.CPU(settings.threads) else NativeBackend.CPU()
                    Backend.GPU -> NativeBackend.GPU()
                    Backend.NPU -> NativeBackend.NPU(libraries)
                },
                maxNumTokens = settings.contextTokens.takeIf { it > 0 },
                cacheDir = settings.cacheDir,
            ),
        )
        try {
            native.initialize()
        } catch (error: Exception) { // the library's exceptions have no common type of their own
            native.close()
            throw EngineException(error.message ?: error.toString(), error)
        }
        return LiteRtLmEngine(native, backend)
    }
}
