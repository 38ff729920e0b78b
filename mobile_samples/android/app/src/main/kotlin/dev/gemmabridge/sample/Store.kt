package dev.gemmabridge.sample

import dev.gemmabridge.core.BundleFile
import dev.gemmabridge.core.Cancel
import dev.gemmabridge.core.Digest
import dev.gemmabridge.core.FirstStart
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

    /** All files that the engine reads, the model among them. */
    val files = manifest.modelFiles
    val bytes = files.sumOf { it.bytes }

    /** Exists where answers are drawn as the checkpoint asks for, though a drafter could make them faster. */
    private val varied = File(device.folder, "varied-answers")

    /** Whether a drafter is used, if there is one: it is, unless the user chose otherwise. */
    var faster: Boolean
        get() = !varied.exists()
        set(on) {
            if (on) varied.delete() else varied.writeText("")
        }

    /** Says which files were found right: the same lengths and times later are taken for the same files. */
    private val stamp = File(device.folder, manifest.model.name + ".checked")

    /** Whether the model travels inside the app. */
    fun isPacked(): Boolean = files.all { file -> device.packed(file.name)?.use { true } ?: false }

    fun packed(file: BundleFile): InputStream =
        device.packed(file.name) ?: throw RefusedException("${file.name} is not in the app")

    /** Where a file is, if the model is at [url]: beside it. */
    fun address(url: String, file: BundleFile): String {
        if (file == manifest.model) return url
        val query = url.indexOf('?').let { if (it < 0) "" else url.substring(it) }
        return url.removeSuffix(query).substringBeforeLast('/') + "/" + file.name + query
    }

    /**
     * Whether the right model is here. It is read whole once, and again whenever a length or time changed: damage makes
     * native code crash. What is not the model is deleted.
     */
    fun isReady(progress: Progress, cancel: Cancel): Boolean {
        if (files.any { !target(it).isFile }) return false
        if (stamp.isFile && stamp.readText() == mark()) return true
        var done = 0L
        val right = files.map { file ->
            val found = target(file)
            val same = found.length() == file.bytes && file.sha256 == Digest.sha256(found) {
                cancel.check()
                progress.onProgress(Phase.CHECK, done + it, bytes)
            }
            done += file.bytes
            if (!same) found.delete()
            same
        }.all { it }
        if (right) stamp()
        return right
    }

    /** Brings each file by [how], which is told where to; [progress] hears of all of them together. */
    fun each(progress: Progress, how: (BundleFile, File, Progress) -> Unit) {
        var done = 0L
        for (file in files) {
            how(file, target(file)) { phase, now, _ -> progress.onProgress(phase, done + now, bytes) }
            done += file.bytes
        }
    }

    /** Call after a transfer, which has checked the files. What the engine made of others is of no use any more. */
    fun stamp() {
        FirstStart.clear(device.cache)
        stamp.writeText(mark())
    }

    private fun target(file: BundleFile) = File(device.folder, file.name)

    private fun mark() = files.joinToString("\n") { file ->
        target(file).let { "${file.sha256} ${it.length()} ${it.lastModified()}" }
    }

    private fun read(name: String): ByteArray {
        val stream = device.packed(name) ?: throw RefusedException("$name is not in the app")
        return stream.use { it.readBytes() }
    }

    companion object {
        const val MANIFEST = "manifest.json"
        const val GOLDEN = "golden.json"
    }
}
