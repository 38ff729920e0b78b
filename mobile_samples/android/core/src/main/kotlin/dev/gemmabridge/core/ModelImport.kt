package dev.gemmabridge.core

import java.io.File
import java.io.IOException
import java.io.InputStream

/** Takes a model from a stream, for instance a file that the user picked or one inside the app's package. */
object ModelImport {
    /**
     * Copies [stream] to [target] and closes it. The target is right or absent afterwards, and nothing else is left.
     *
     * @throws TransferException it did not work out; what to tell the user is its message.
     */
    fun copy(
        stream: InputStream,
        target: File,
        want: BundleFile,
        progress: Progress = Progress { _, _, _ -> },
        cancel: Cancel = Cancel(),
        space: FreeSpace = FreeSpace.OF_DISK,
    ) {
        val landing = Landing(target, want, space)
        stream.use {
            landing.part.delete()
            if (landing.prepare(progress, cancel)) return
            try {
                gather(it, landing, progress, cancel)
                landing.finish(progress, cancel)
            } finally {
                landing.part.delete() // an import begins anew
            }
        }
    }

    private fun gather(stream: InputStream, landing: Landing, progress: Progress, cancel: Cancel) {
        val total = landing.want.bytes
        val buffer = ByteArray(Digest.BUFFER)
        var done = 0L
        landing.open(append = false).use { out ->
            while (true) {
                cancel.check()
                val read = try {
                    stream.read(buffer)
                } catch (error: IOException) {
                    throw TransferException(Trouble.STORAGE, "The file cannot be read.", error)
                }
                if (read < 0) break
                done += read
                if (done > total) landing.refuse("The file is not the model: it is longer than ${Size.of(total)}.")
                landing.write(out, buffer, read)
                progress.onProgress(Phase.TRANSFER, done, total)
            }
            landing.sync(out)
        }
        if (done != total) {
            landing.refuse("The file is not the model: it has $done bytes and should have $total.")
        }
    }
}
