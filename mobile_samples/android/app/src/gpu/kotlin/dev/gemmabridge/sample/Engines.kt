package dev.gemmabridge.sample

import android.content.Context
import dev.gemmabridge.aar.AarEngineFactory
import dev.gemmabridge.core.EngineFactory
import dev.gemmabridge.core.Manifest
import dev.gemmabridge.core.Runtime

/** The engine of this flavour: GPU, and CPU where the GPU does not pass the self-test. */
internal object Engines {
    fun factory(context: Context, manifest: Manifest): EngineFactory {
        manifest.madeFor(Runtime.LITERT_LM)
        return AarEngineFactory(context.applicationInfo.nativeLibraryDir)
    }
}
