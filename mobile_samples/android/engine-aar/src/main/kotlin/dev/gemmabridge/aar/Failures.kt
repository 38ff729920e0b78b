package dev.gemmabridge.aar

import dev.gemmabridge.core.EngineException

internal object Failures {
    /** Runs a call of the library's; its exceptions, which are of many types, become one. */
    fun <T> told(what: String, action: () -> T): T = try {
        action()
    } catch (error: Exception) {
        throw EngineException("$what: ${error.message ?: error}", error)
    }
}
