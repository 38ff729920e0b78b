package dev.gemmabridge.sample

import dev.gemmabridge.core.Cancel
import dev.gemmabridge.core.Digest
import dev.gemmabridge.core.GoldenFile
import dev.gemmabridge.core.Manifest
import dev.gemmabridge.core.Progress
import dev.gemmabridge.core.RefusedException
import dev.gemmabridge.core.Phase
import java.io.File
import java.io.InputStream

/** The bundle's files on this device. */
internal class Store(private val device: Device) {
    val manifest = Manifest.parse(read(MANIFEST))
    val golden = GoldenFile.parse(read(GOLDEN))
    val model = File(device.folder, manifest.model.name)

    /** Says which file was found right: the same length and time later is taken for the same file. */
    private val stamp = File(device.folder, manifest.model.name + ".checked")

    /** The model when it travels inside the app. */
    fun packedModel(): InputStream? = device.packed(manifest.model.name)

    /**
     * Whether the right model is here. It is read whole once, and again whenever its length or time changed: damage
     * makes native code crash. What is not the model is deleted.
     */
    fun isReady(progress: Progress, cancel: Cancel): Boolean {
        if (!model.isFile) return false
        if (stamp.isFile && stamp.readText() == mark()) return true
        val right = model.length() == manifest.model.bytes && manifest.model.sha256 == Digest.sha256(model) {
            cancel.check()
            progress.onProgress(Phase.CHECK, it, manifest.model.bytes)
        }
        if (right) stamp() else model.delete()
        return right
    }

    /** Call after a transfer, which has checked the file. */
    fun stamp() = stamp.writeText(mark())

    private fun mark() = "${manifest.model.sha256} ${model.length()} ${model.lastModified()}"

    private fun read(name: String): ByteArray {
        val stream = device.packed(name) ?: throw RefusedException("$name is not in the app")
        return stream.use { it.readBytes() }
    }

    companion object {
        const val MANIFEST = "manifest.json"
        const val GOLDEN = "golden.json"
    }
}
