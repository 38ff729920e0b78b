package dev.gemmabridge.sample

import android.content.Context
import dev.gemmabridge.core.EngineFactory
import dev.gemmabridge.core.Manifest
import dev.gemmabridge.core.Runtime
import dev.gemmabridge.ort.OrtEngineFactory

/** The engine of this flavour: ONNX Runtime on the CPU. */
internal object Engines {
    @Suppress("UNUSED_PARAMETER")
    fun factory(context: Context, manifest: Manifest): EngineFactory = OrtEngineFactory(manifest.madeFor(Runtime.ONNX))
}
