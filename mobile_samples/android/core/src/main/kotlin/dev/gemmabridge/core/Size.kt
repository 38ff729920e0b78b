package dev.gemmabridge.core

/** Sizes for people, in the decimal units that phones and stores use. */
object Size {
    fun of(bytes: Long): String = when {
        bytes < 1_000 -> "$bytes B"
        bytes < 1_000_000 -> "${bytes / 1_000} kB"
        bytes < 1_000_000_000 -> "${bytes / 1_000_000} MB"
        else -> {
            val hundredths = bytes / 10_000_000
            "${hundredths / 100}.${(hundredths % 100).toString().padStart(2, '0')} GB"
        }
    }
}
