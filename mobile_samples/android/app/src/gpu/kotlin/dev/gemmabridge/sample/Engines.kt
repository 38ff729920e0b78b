package dev.gemmabridge.sample

import android.content.Context
import dev.gemmabridge.aar.AarEngineFactory
import dev.gemmabridge.core.EngineFactory

/** The engine of this flavour: GPU, and CPU where the GPU does not pass the self-test. */
internal object Engines {
    fun factory(context: Context): EngineFactory = AarEngineFactory(context.applicationInfo.nativeLibraryDir)
}
