package dev.gemmabridge.core

/** A file that is not what it must be: the message says what was found and what is allowed. */
class RefusedException(message: String, cause: Throwable? = null) : Exception(message, cause)
