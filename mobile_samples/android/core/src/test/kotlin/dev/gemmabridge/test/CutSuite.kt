package dev.gemmabridge.test

import dev.gemmabridge.core.Around
import dev.gemmabridge.core.Bicubic
import dev.gemmabridge.core.EngineException
import dev.gemmabridge.core.Extent
import dev.gemmabridge.core.Fields
import dev.gemmabridge.core.Images
import dev.gemmabridge.core.NamedToken
import dev.gemmabridge.core.PictureException
import dev.gemmabridge.core.PicturePlan
import dev.gemmabridge.core.PixelRows
import dev.gemmabridge.core.Pixels
import dev.gemmabridge.core.RefusedException
import java.io.File
import kotlin.math.abs

/** Rows that are made when they are asked for, and in their order. */
private class Forward(private val of: Pixels) : PixelRows by of {
    var next = 0

    override fun read(y: Int, into: ByteArray) {
        same(next++, y)
        of.read(y, into)
    }
}

private fun refused(words: String, images: String) = failsWith<RefusedException>(words) { Images.read(Fields.of("{\"images\":$images}", "feeding")) }

/** Arguments: `feeding.images` as the converter writes it, a folder of pictures with what Pillow makes of them, one to work in. */
fun main(args: Array<String>) {
    val text = File(args[0]).readText()
    val files = File(args[1]).listFiles()!!.sorted()
    val work = File(args[2])
    val images = Images.read(Fields.of("{\"images\":$text}", "feeding"))!!
    val cutting = images.cutting!!
    with(Suite()) {
        case("a picture is resized to Pillow's pixels") {
            var largest = 0
            var compared = 0
            for (file in files.filter { it.name.endsWith(".given.ppm") }) {
                val expected = Pixels.read(File(file.path.replace(".given.", ".made.")))
                val source = Forward(Pixels.read(file))
                val found = Bicubic.resize(source, expected.size)
                same(source.size.height, source.next)
                for ((at, byte) in found.bytes.withIndex()) largest = maxOf(largest, abs((byte.toInt() and 0xff) - (expected.bytes[at].toInt() and 0xff)))
                compared++
            }
            figure("largest difference", largest)
            same(0, largest)
            holds(compared > 10)
        }
        case("a picture that has its size is copied") {
            val given = Pixels(Extent(2, 1), byteArrayOf(0, 1, -1, 127, -128, 5))
            same(given.bytes.toList(), Bicubic.resize(given, given.size).bytes.toList())
        }
        case("patches are numbers row by row, with their columns and rows") {
            val (wide, high) = Pair(3, 2)
            val picture = Pixels(Extent(wide * cutting.side, high * cutting.side), ByteArray(Pixels.CHANNELS * wide * high * cutting.side * cutting.side) { (it * 7).toByte() })
            val cut = cutting.cut(picture)
            same(wide * high, cut.count)
            same(listOf(0L, 0L, 1L, 0L, 2L, 0L, 0L, 1L, 1L, 1L, 2L, 1L), cut.positions.toList())
            for (patch in 0 until cut.count) {
                for (y in 0 until cutting.side) {
                    for (x in 0 until Pixels.CHANNELS * cutting.side) {
                        val at = (patch / wide * cutting.side + y) * Pixels.CHANNELS * picture.size.width + patch % wide * Pixels.CHANNELS * cutting.side + x
                        val expected = ((picture.bytes[at].toInt() and 0xff) / 255.0).toFloat()
                        same(expected, cut.patches[patch * cutting.numbers + y * Pixels.CHANNELS * cutting.side + x])
                    }
                }
            }
        }
        case("a word of another meaning is refused by its name") {
            for ((old, new, words) in listOf(
                Triple("\"bicubic\"", "\"lanczos\"", "resize.filter is \"lanczos\"; this app knows bicubic"),
                Triple("\"largest_within\"", "\"stretched\"", "resize.rule is stretched"),
                Triple("\"exif_first\"", "\"none\"", "pixels.orientation is \"none\""),
                Triple("\"over_white\"", "\"over_black\"", "pixels.alpha is \"over_black\""),
                Triple("\"rgb\"", "\"bgr\"", "pixels.channels is \"bgr\""),
                Triple("\"rows_of_pixels\"", "\"planes\"", "pixels.order is \"planes\""),
                Triple("\"row_by_row\"", "\"column_by_column\"", "patches.order is \"column_by_column\""),
                Triple("\"x_y\"", "\"y_x\"", "patches.positions is \"y_x\""),
                Triple("\"padding\":null", "\"padding\":{\"patches\":\"zeros\",\"position\":-1}", "patches.padding is not null"),
                Triple("\"side\":16", "\"side\":15", "resize.multiple is 48, and 3 patches of 15 pixels"),
                Triple("\"patches\":null", "\"patches\":630", "this app knows one call for 70 tokens and any patches"),
                Triple("\"source\":\"positions\"", "\"source\":\"earlier_call\"", "other inputs than patches, positions"),
                Triple("\"meaning\":\"rows\"", "\"meaning\":\"later_call\"", "other outputs than rows"),
                Triple("\"id\":103", "\"id\":102", "around.each is also"),
                Triple("\"tokens\":70", "\"tokens\":65536", "tokens is 65536, of 150994944 pixels"),
                Triple("\"around\":", "\"ahead\":", "around is missing"),
                Triple("\"cut_by\":null", "\"cut\":null", "cut_by is missing"),
                Triple("\"scale\":0", "\"scale\":-0", "pixels.scale is -0.00"),
            )) {
                holds(old in text) { "$old is not in the manifest" }
                val changed = text.replace(old, new).let { if (new != "\"id\":102") it else it.replace("<|image|>", "<|image>") }
                refused(words, changed)
            }
        }
        case("a picture's tokens are counted, and a size that no picture gets is refused") {
            same(64, images.count(Extent(384, 384)))
            same(65, images.count(images.target(Extent(240, 96))))
            for (size in listOf(Extent(384, 383), Extent(48 * 71, 48), Extent(0, 48))) {
                failsWith<RefusedException>("a picture has ${size.width} x ${size.height} pixels") { images.count(size) }
            }
        }
        case("a picture's tokens stand between their begin and end") {
            val around = Around(NamedToken(7, "("), NamedToken(8, "*"), NamedToken(9, ")"))
            same(listOf(1, 7, 8, 8, 9, 2, 7, 8, 9), around.spread(intArrayOf(1, 8, 2, 8), listOf(2, 1)).toList())
            same(listOf(1, 2), around.spread(intArrayOf(1, 2), emptyList()).toList())
            failsWith<EngineException>("1 places for pictures, and there are 0 pictures") { around.spread(intArrayOf(8), emptyList()) }
            failsWith<EngineException>("0 places for pictures, and there are 1 pictures") { around.spread(intArrayOf(1), listOf(3)) }
        }
        case("a picture that the app cuts is decoded as it is, and its resizing counts where memory is asked for") {
            val size = Extent(4032, 3024)
            val free = size.pixels * 8 + (size.width + size.height) * 64L
            same(PicturePlan(1, 0), PicturePlan.of(size, false, images, free))
            same(PicturePlan(4, 0), PicturePlan.of(Extent(16000, 16000), false, images, 1L shl 40))
            fails<PictureException> { PicturePlan.of(size, false, images, free - 1) }
        }
        case("pixels are kept in a file, and a damaged one is refused") {
            val file = File(work, "picture.ppm")
            val given = Pixels(Extent(3, 2), ByteArray(18) { (it * 15).toByte() })
            given.write(file)
            val bytes = file.readBytes()
            Pixels.read(file).let { same(Pair(given.size, given.bytes.toList()), Pair(it.size, it.bytes.toList())) }
            for ((damaged, words) in listOf(
                Pair(bytes.copyOf(bytes.size - 1), "picture.ppm ends before its picture does"),
                Pair(bytes + 0, "goes on behind its picture"),
                Pair(ByteArray(0), "ends before"),
                Pair("\u0089PNG\r\n".toByteArray(Charsets.ISO_8859_1), "holds no pixels"),
                Pair("P6\n30000 30000\n255\n".toByteArray(), "none of this app's"),
                Pair("P6\n3 2\n65535\n".toByteArray(), "pixels of 0 to 65535"),
                Pair("P6\n-3 2\n255\n".toByteArray(), "has a side of \"-3\" pixels"),
                Pair("P6\n99999999999999999999 2\n255\n".toByteArray(), "has a side of"),
                Pair("P6\n8000 8000\n255\n".toByteArray(), "ends before"), // and asks for no memory
            )) {
                file.writeBytes(damaged)
                failsWith<RefusedException>(words) { Pixels.read(file) }
            }
            failsWith<RefusedException>("cannot be read") { Pixels.read(work) }
        }
        end()
    }
}
