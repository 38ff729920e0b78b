package dev.gemmabridge.test

import dev.gemmabridge.core.Bicubic
import dev.gemmabridge.core.Extent
import dev.gemmabridge.core.Images
import dev.gemmabridge.core.Picture
import dev.gemmabridge.core.PictureFile
import dev.gemmabridge.core.PixelRows
import dev.gemmabridge.core.Pixels
import dev.gemmabridge.sample.Device
import java.awt.image.BufferedImage
import java.io.File
import java.io.InputStream
import javax.imageio.ImageIO

/** A picture as Java decodes it, as `Photos` has one that Android decoded. */
internal class DecodedRows(private val image: BufferedImage) : PixelRows {
    override val size = Extent(image.width, image.height)
    private val row = IntArray(size.width)

    override fun read(y: Int, into: ByteArray) {
        image.getRGB(0, y, size.width, 1, row, 0, size.width)
        Pixels.split(row, into)
    }
}

/** The picture of a file as large as a model looks at it. */
internal fun resized(file: File, images: Images): Pixels = DecodedRows(ImageIO.read(file)).let { Bicubic.resize(it, images.target(it.size)) }

/** A phone whose app holds the bundle. */
internal class Handheld(private val bundle: File, override val folder: File) : Device {
    override val name = "desk"
    override val cache = File(folder, "cache")
    override val pictures = File(folder, "pictures").apply { mkdirs() }

    override fun picture(source: InputStream, images: Images): Picture {
        val (kept, large, small) = listOf("source", Pixels.SUFFIX, "jpg").map { File(pictures, "one.$it") }
        PictureFile.keep(source, kept)
        resized(kept, images).write(large)
        kept.delete()
        return Picture(large.path, small.path, Extent(1, 1))
    }

    override fun free() = 8_000_000_000L

    override fun memory() = Pair(8_000_000_000L, 8_000_000_000L)

    override fun packed(name: String) = File(bundle, name).takeIf { it.isFile }?.inputStream()
}
