package dev.gemmabridge.test

import dev.gemmabridge.core.BundleFile
import dev.gemmabridge.core.Cancel
import dev.gemmabridge.core.Download
import dev.gemmabridge.core.DownloadPolicy
import dev.gemmabridge.core.FreeSpace
import dev.gemmabridge.core.Json
import dev.gemmabridge.core.Phase
import dev.gemmabridge.core.TransferException
import java.io.File

/**
 * Downloads what standard input asks for, one JSON object a line: `url`, `target`, `bytes`, `sha256`, `attempts`,
 * `requests`, `stall` (milliseconds), `free` (bytes on the disk), `cancel_at` (bytes received, -1 for never), `cancel_after` (milliseconds, -1 for
 * never). Answers each with a line.
 */
fun main() {
    for (line in generateSequence(::readlnOrNull)) {
        val asked = Json.parse(line) as Map<*, *>
        println(fetch(asked))
        System.out.flush()
    }
}

private fun fetch(asked: Map<*, *>): String {
    fun number(key: String) = asked[key] as Long
    val policy = DownloadPolicy(
        connectMillis = 2_000,
        stallMillis = number("stall").toInt(),
        attempts = number("attempts").toInt(),
        requests = number("requests").toInt(),
        pauseMillis = 1,
        longestPauseMillis = 20,
    )
    val cancel = Cancel()
    val cancelAt = number("cancel_at")
    // In the callback itself, or by another thread after a while in which nothing comes.
    val cancelAfter = number("cancel_after")
    val later = Thread {
        Thread.sleep(cancelAfter)
        cancel.cancel()
    }.apply { isDaemon = true }
    val target = File(asked["target"] as String)
    val want = BundleFile(target.name, number("bytes"), asked["sha256"] as String)
    val free = FreeSpace { number("free") - (it.listFiles()?.map { file -> file.length() }?.sum() ?: 0L) }
    var most = 0L
    val (trouble, message) = try {
        Download(policy, free).fetch(
            asked["url"] as String,
            target,
            want,
            { phase, done, _ ->
                most = maxOf(most, done)
                if (phase == Phase.TRANSFER && cancelAt in 0..done) {
                    if (cancelAfter < 0) cancel.cancel() else if (later.state == Thread.State.NEW) later.start()
                }
            },
            cancel,
        )
        Pair("", "")
    } catch (error: TransferException) {
        Pair(error.trouble.name, error.message ?: "")
    } catch (error: Throwable) {
        Pair("BUG", error.toString() + " at " + error.stackTrace.take(8).joinToString(" < "))
    }
    return "{\"trouble\":${Json.quote(trouble)},\"message\":${Json.quote(message)},\"most\":$most}"
}
