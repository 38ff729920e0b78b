package dev.gemmabridge.core

import java.io.File
import java.io.FileOutputStream
import java.io.IOException

/**
 * When a download gives up.
 *
 * @property connectMillis for a connection to stand.
 * @property stallMillis without a byte, after which the connection is made anew.
 * @property attempts in a row that bring nothing.
 * @property requests in all: a server that drops every connection after a byte shall not keep a phone awake for days.
 * @property pauseMillis before the second attempt; doubled for each further one, up to [longestPauseMillis].
 */
class DownloadPolicy(
    val connectMillis: Int = 15_000,
    val stallMillis: Int = 30_000,
    val attempts: Int = 8,
    val requests: Int = 2_000,
    val pauseMillis: Long = 1_000,
    val longestPauseMillis: Long = 60_000,
)

/**
 * Downloads a model file over HTTP, goes on after a broken connection, and trusts nobody.
 *
 * The target is right (size and SHA-256 of the manifest) or absent. What came so far stays in a `.part` beside it, for
 * the next call, unless it is known to be wrong; nothing else is left.
 */
class Download(
    private val policy: DownloadPolicy = DownloadPolicy(),
    private val space: FreeSpace = FreeSpace.OF_DISK,
) {
    /**
     * Blocks until the file is there.
     *
     * @throws TransferException it did not work out; what to tell the user is its message.
     */
    fun fetch(
        url: String,
        target: File,
        want: BundleFile,
        progress: Progress = Progress { _, _, _ -> },
        cancel: Cancel = Cancel(),
    ) {
        val landing = Landing(target, want, space)
        try {
            if (landing.prepare(progress, cancel)) return
            Transfer(url, landing, progress, cancel).run()
            landing.finish(progress, cancel)
        } finally {
            if (landing.part.length() == 0L) landing.part.delete()
        }
    }

    /** One download, which may take many requests. */
    private inner class Transfer(
        private val url: String,
        private val landing: Landing,
        private val progress: Progress,
        private val cancel: Cancel,
    ) {
        private val total = landing.want.bytes

        /** The server's name for the content that the part comes from; null before the first answer. */
        private var validator: String? = null

        fun run() {
            var failures = 0
            var requests = 0
            while (landing.part.length() < total || !landing.part.exists()) {
                cancel.check()
                landing.checkSpace()
                val before = landing.part.length()
                val (why, wait) = try {
                    if (++requests > policy.requests) network("The connection broke ${policy.requests} times.", null)
                    request(before)
                    Pair(null, 0L)
                } catch (error: RetryException) {
                    Pair(error, error.waitMillis)
                } catch (error: IOException) {
                    Pair(error, 0L)
                }
                failures = if (landing.part.length() > before) 0 else failures + 1
                if (landing.part.length() >= total) break
                if (failures >= policy.attempts) {
                    val last = why?.message ?: "it brought nothing"
                    network("The connection failed ${policy.attempts} times in a row: $last.", why)
                }
                cancel.pause(maxOf(pause(failures), minOf(wait, policy.longestPauseMillis)))
            }
        }

        private fun pause(failures: Int): Long =
            minOf(policy.pauseMillis shl minOf(failures, 16), policy.longestPauseMillis)

        private fun request(offset: Long) {
            val aside = Aside(cancel)
            var open: Http? = null // of the other thread, which alone sets and closes it
            try {
                val name = validator
                val reply = aside.run { Http.get(url, offset, name, policy).also { open = it } }
                val append = accept(reply, offset)
                validator = reply.validator
                val body = aside.run { reply.body() }
                receive(append) { buffer -> aside.run { body.read(buffer) } }
            } finally {
                aside.end { open?.close() }
            }
        }

        /** Whether the body continues the part; false where it is the whole file. */
        private fun accept(reply: Http, offset: Long): Boolean {
            if (reply.encoding != "identity") server("The server sends the file encoded as ${reply.encoding}.")
            when (val status = reply.status) {
                200 -> {
                    checkLength(reply.length)
                    return false
                }
                206 -> {
                    if (offset == 0L) server("The server sends a part (206) where the whole was asked for.")
                    checkRange(reply.range, offset, reply.length)
                    return true
                }
                416 -> {
                    // There is nothing at that offset: the file there is shorter, or another one.
                    landing.part.delete()
                    throw RetryException("the server has less than was received", 0)
                }
                408, 425, 429, in 500..599 ->
                    throw RetryException("the server answered $status", reply.retryAfterMillis)
                else -> server("The server answered $status.")
            }
        }

        private fun checkLength(length: Long) {
            if (length >= 0 && length != total) {
                landing.refuse("The file there is not the model: it has $length bytes and should have $total.")
            }
        }

        private fun checkRange(range: String?, offset: Long, length: Long) {
            val found = RANGE.matchEntire(range ?: "") ?: server("The server sends a part without saying which.")
            val (first, last, whole) = found.destructured
            val end = last.toLong()
            if (first.toLong() != offset || end < offset || end >= total) {
                server("The server sends bytes $first to $last where those from $offset were asked for.")
            }
            if (length >= 0 && length != end - offset + 1) {
                server("The server sends $length bytes and says that they are $first to $last.")
            }
            if (whole != "*") checkLength(whole.toLong())
        }

        private fun receive(append: Boolean, read: (ByteArray) -> Int) {
            landing.open(append).use { out ->
                try {
                    pour(read, out, if (append) landing.part.length() else 0L)
                } finally {
                    landing.sync(out)
                }
            }
        }

        private fun pour(read: (ByteArray) -> Int, out: FileOutputStream, begin: Long) {
            val buffer = ByteArray(Digest.BUFFER)
            var done = begin
            progress.onProgress(Phase.TRANSFER, done, total)
            while (true) {
                val count = read(buffer)
                if (count < 0) break
                done += count
                if (done > total) landing.refuse("The file there is not the model: it is longer than $total bytes.")
                landing.write(out, buffer, count)
                progress.onProgress(Phase.TRANSFER, done, total)
            }
        }

        private fun network(message: String, cause: Exception?): Nothing =
            throw TransferException(Trouble.NETWORK, message, cause)

        private fun server(message: String): Nothing = throw TransferException(Trouble.SERVER, message)
    }

    private companion object {
        val RANGE = Regex("bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\\*)")
    }
}

/** An answer after which the same request may succeed. */
private class RetryException(message: String, val waitMillis: Long) : Exception(message)
