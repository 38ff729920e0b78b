package dev.gemmabridge.core

import java.io.IOException
import java.io.InputStream
import java.net.HttpURLConnection
import java.net.MalformedURLException
import java.net.URL

/** One answer of a server, redirects followed. */
internal class Http private constructor(private val connection: HttpURLConnection) {
    val status: Int = connection.responseCode
    val length: Long = header("Content-Length")?.toLongOrNull() ?: -1
    val range: String? = header("Content-Range")
    val encoding: String = header("Content-Encoding")?.lowercase() ?: "identity"

    /** A strong name of the content; null where the server gives none. */
    val validator: String? = header("ETag")?.takeIf { it.startsWith("\"") }

    /** How long the server asks to wait; 0 where it does not, or gives a date. */
    val retryAfterMillis: Long = (header("Retry-After")?.trim()?.toLongOrNull() ?: 0).coerceIn(0, 3600) * 1000

    fun body(): InputStream = connection.inputStream

    /** A body that was not read to its end is not waited for. */
    fun close() = connection.disconnect()

    private fun header(name: String): String? = connection.getHeaderField(name)

    companion object {
        private const val REDIRECTS = 5

        /**
         * @param offset of the first byte that is wanted; above 0 it is a Range request.
         * @param validator of the content that the bytes before [offset] come from: other content is sent whole.
         * @throws IOException the connection failed: worth another attempt.
         * @throws TransferException the server does what it must not.
         */
        fun get(url: String, offset: Long, validator: String?, policy: DownloadPolicy): Http {
            var address = parse(url)
            repeat(REDIRECTS + 1) {
                val connection = address.openConnection() as HttpURLConnection
                connection.instanceFollowRedirects = false // it would drop https to http, or not follow at all
                connection.connectTimeout = policy.connectMillis
                connection.readTimeout = policy.stallMillis
                connection.useCaches = false
                connection.setRequestProperty("Accept-Encoding", "identity")
                if (offset > 0) {
                    connection.setRequestProperty("Range", "bytes=$offset-")
                    if (validator != null) connection.setRequestProperty("If-Range", validator)
                }
                var kept = false
                try {
                    val reply = Http(connection)
                    val to = if (reply.status in setOf(301, 302, 303, 307, 308)) reply.header("Location") else null
                    if (to == null) {
                        kept = true
                        return reply
                    }
                    address = follow(address, to)
                } finally {
                    if (!kept) connection.disconnect()
                }
            }
            throw TransferException(Trouble.SERVER, "The server redirects more than $REDIRECTS times.")
        }

        private fun follow(from: URL, to: String): URL {
            val next = try {
                URL(from, to)
            } catch (error: MalformedURLException) {
                throw TransferException(Trouble.SERVER, "The server redirects to no address.", error)
            }
            if (next.protocol != from.protocol && next.protocol != "https") {
                throw TransferException(Trouble.SERVER, "The server redirects from ${from.protocol} to ${next.protocol}.")
            }
            return next
        }

        private fun parse(url: String): URL {
            val found = try {
                URL(url)
            } catch (error: MalformedURLException) {
                throw TransferException(Trouble.SERVER, "${Json.quote(url)} is no address.", error)
            }
            if (found.protocol != "http" && found.protocol != "https") {
                throw TransferException(Trouble.SERVER, "A model comes over https or http, not ${found.protocol}.")
            }
            return found
        }
    }
}
