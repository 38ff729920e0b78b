package dev.gemmabridge.sample

import android.app.ActivityManager
import android.content.Context
import android.os.Build
import dev.gemmabridge.core.FreeSpace
import dev.gemmabridge.core.Images
import dev.gemmabridge.core.Picture
import java.io.File
import java.io.FileNotFoundException
import java.io.InputStream

/** The phone as the app sees it. */
internal class Phone(private val context: Context) : Device {
    override val name = "${Build.MANUFACTURER} ${Build.MODEL}, Android ${Build.VERSION.RELEASE}"
        .replace(Regex("[^A-Za-z0-9_ .,()+-]"), "-").take(MAX_NAME)

    /** The app's own folder on the shared storage: no permission is needed, and it goes when the app goes. */
    override val folder: File = context.getExternalFilesDir(null) ?: context.filesDir

    override val cache: File = File(context.cacheDir, "engine").apply { mkdirs() }

    override val pictures: File = File(context.filesDir, "pictures").apply { mkdirs() }

    override fun free(): Long = FreeSpace.OF_DISK.bytes(cache)

    override fun memory(): Pair<Long, Long> {
        val info = ActivityManager.MemoryInfo()
        (context.getSystemService(Context.ACTIVITY_SERVICE) as ActivityManager).getMemoryInfo(info)
        return Pair(info.totalMem, info.availMem)
    }

    override fun packed(name: String): InputStream? = try {
        context.assets.open("model/$name")
    } catch (error: FileNotFoundException) {
        null
    }

    override fun picture(source: InputStream, images: Images): Picture =
        Photos(pictures).read(source, images, available = memory().second)

    private companion object {
        const val MAX_NAME = 80
    }
}
