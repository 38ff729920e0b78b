package dev.gemmabridge.sample

import android.content.Context
import dev.gemmabridge.core.EngineFactory
import dev.gemmabridge.core.Manifest
import dev.gemmabridge.core.Runtime
import dev.gemmabridge.jni.NativeEngineFactory

/** The engine of this flavour: the CPU, through the C shim. */
internal object Engines {
    @Suppress("UNUSED_PARAMETER")
    fun factory(context: Context, manifest: Manifest): EngineFactory {
        manifest.madeFor(Runtime.LITERT_LM)
        return NativeEngineFactory(
            Runnable {
                System.loadLibrary("litert-lm")
                System.loadLibrary("gemmabridge")
            },
        )
    }
}
