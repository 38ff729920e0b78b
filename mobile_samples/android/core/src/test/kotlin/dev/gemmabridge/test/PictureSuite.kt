package dev.gemmabridge.test

import dev.gemmabridge.core.Answer
import dev.gemmabridge.core.Backend
import dev.gemmabridge.core.Conversation
import dev.gemmabridge.core.Ending
import dev.gemmabridge.core.EngineException
import dev.gemmabridge.core.Extent
import dev.gemmabridge.core.Fields
import dev.gemmabridge.core.Images
import dev.gemmabridge.core.Manifest
import dev.gemmabridge.core.MemoryCheck
import dev.gemmabridge.core.Orientation
import dev.gemmabridge.core.PictureException
import dev.gemmabridge.core.PictureFile
import dev.gemmabridge.core.PicturePlan
import dev.gemmabridge.core.PictureTrouble
import dev.gemmabridge.core.RefusedException
import java.io.File
import java.io.IOException
import java.io.InputStream
import kotlin.math.abs

private val IMAGES = Images(280, 48)
private const val PLENTY = 1L shl 40

private fun trouble(wanted: PictureTrouble, body: () -> Unit) = same(wanted, fails<PictureException>(body).trouble)

private fun feeding(images: String) = Fields.of("{\"images\":$images}", "feeding")

private fun images(tokens: String = "280", rule: String = "largest_within", cut: String = "{\"formats\":[\"jpeg\",\"png\"]}") =
    "{\"tokens\":$tokens,\"resize\":{\"rule\":\"$rule\",\"multiple\":48},\"cut_by\":$cut}"

/** Where the row and the column that are stored first belong, by the table of Exif 2.32's tag 0x0112. */
private val FIRST = listOf(
    "top left", "top right", "bottom right", "bottom left", "left top", "right top", "right bottom", "left bottom",
)

/** Arguments: a manifest.json, sizes and what transformers makes of them, pictures in folders named for what they are. */
fun main(args: Array<String>) {
    val (manifest, sizes, pictures, work) = args
    with(Suite()) {
        case("a picture becomes as large as transformers makes it") {
            val rows = File(sizes).readLines().map { line -> line.split(' ').map { it.toInt() } }
            for ((tokens, width, height, wide, high) in rows) {
                same(Extent(wide, high), Images(tokens, 48).target(Extent(width, height)))
            }
            holds(rows.size > 100)
        }
        case("what is decoded covers what the model looks at, and a half of it would not") {
            for (width in listOf(1, 47, 480, 1000, 4032, 8160, 16000)) {
                for (height in listOf(1, 300, 1512, 3024, 6120, 16000)) {
                    val plan = PicturePlan.of(Extent(width, height), true, IMAGES, PLENTY)
                    val target = IMAGES.target(Extent(width, height))
                    val divisor = plan.sample.toLong() shl plan.halvings
                    val covered = width / divisor >= target.width && height / divisor >= target.height
                    holds(covered || divisor == 1L) { "$width x $height: $plan" }
                    holds(width / (divisor * 2) < target.width || height / (divisor * 2) < target.height) { "$width x $height: $plan" }
                    holds(width.toLong() * height / plan.sample / plan.sample <= PicturePlan.MOST_DECODED)
                }
            }
            same(PicturePlan(1, 2), PicturePlan.of(Extent(4032, 3024), false, IMAGES, PLENTY))
            same(PicturePlan(4, 2), PicturePlan.of(Extent(16000, 16000), false, IMAGES, PLENTY))
        }
        case("a bomb is refused by its size, and a picture by the memory that it takes") {
            val most = Extent(1 shl 14, 1 shl 14)
            PicturePlan.of(most, true, IMAGES, PLENTY)
            trouble(PictureTrouble.TOO_LARGE) { PicturePlan.of(Extent(most.width + 1, most.height), true, IMAGES, PLENTY) }
            trouble(PictureTrouble.TOO_LARGE) { PicturePlan.of(Extent(Int.MAX_VALUE, Int.MAX_VALUE), true, IMAGES, PLENTY) }
            for (side in listOf(0, -1)) {
                trouble(PictureTrouble.UNREADABLE) { PicturePlan.of(Extent(side, 5), false, IMAGES, PLENTY) }
                trouble(PictureTrouble.UNREADABLE) { PicturePlan.of(Extent(5, side), false, IMAGES, PLENTY) }
            }
            val (size, decoded) = Pair(Extent(4000, 3000), 4000L * 3000 * 4 * 2)
            PicturePlan.of(size, false, IMAGES, decoded)
            trouble(PictureTrouble.MEMORY) { PicturePlan.of(size, false, IMAGES, decoded - 1) }
            PicturePlan.of(size, true, IMAGES, decoded + size.pixels * 6)
            trouble(PictureTrouble.MEMORY) { PicturePlan.of(size, true, IMAGES, decoded + size.pixels * 6 - 1) }
        }
        case("pictures are turned as their tag says") {
            val size = Extent(40, 30)
            for ((at, words) in FIRST.withIndex()) {
                val turn = Orientation.of(at + 1)
                val (row, column) = words.split(' ')
                val upright = turn.turned(size)
                same(if (row in setOf("top", "bottom")) size else Extent(30, 40), upright)
                val m = turn.matrix(size)
                for ((x, y) in listOf(Pair(0f, 0f), Pair(40f, 0f), Pair(0f, 30f), Pair(10f, 6f))) {
                    // How far from the first row and the first column, as parts of the picture.
                    val (fromRow, fromColumn) = Pair(y / size.height, x / size.width)
                    val parts = mapOf(row to fromRow, column to fromColumn)
                    val right = (parts["left"] ?: (1 - parts.getValue("right"))) * upright.width
                    val down = (parts["top"] ?: (1 - parts.getValue("bottom"))) * upright.height
                    val (found, below) = Pair(m[0] * x + m[1] * y + m[2], m[3] * x + m[4] * y + m[5])
                    holds(abs(found - right) < 1e-4 && abs(below - down) < 1e-4) { "$words: $x,$y goes to $found,$below" }
                }
                same(listOf(0f, 0f, 1f), m.slice(6..8))
            }
            for (odd in listOf(0, 9, -1)) same(Orientation.UPRIGHT, Orientation.of(odd))
        }
        case("a file is read to its picture's end before a decoder fills with grey what is missing") {
            val counts = HashMap<String, Int>()
            for (file in File(pictures).walk().filter { it.isFile }) {
                val what = file.parentFile.name
                counts[what] = (counts[what] ?: 0) + 1
                val found = try {
                    if (PictureFile.scan(file)) "whole" else "rows"
                } catch (error: PictureException) {
                    error.trouble.name
                }
                holds(found == what) { "$file: $found" }
            }
            same(setOf("whole", "rows", "CUT_OFF", "UNREADABLE"), counts.keys)
        }
        case("a copy is taken of what another app gives, as far as it is a picture's size") {
            val to = File(work, "kept")
            PictureFile.keep("abc".byteInputStream(), to)
            same("abc", to.readText())
            trouble(PictureTrouble.UNREADABLE) { PictureFile.keep("".byteInputStream(), to) }
            for (thrown in listOf(IOException("gone"), SecurityException("revoked"))) {
                val broken = object : InputStream() {
                    override fun read(): Int = throw thrown
                }
                trouble(PictureTrouble.GONE) { PictureFile.keep(broken, to) }
            }
            trouble(PictureTrouble.SPACE) { PictureFile.keep("abc".byteInputStream(), File(work)) }
            val endless = object : InputStream() {
                override fun read(): Int = 1

                override fun read(block: ByteArray, from: Int, count: Int): Int = count
            }
            trouble(PictureTrouble.TOO_LARGE) { PictureFile.keep(endless, to) }
            same(true, to.length() <= PictureFile.MOST_BYTES)
            to.delete()
        }
        case("the manifest says how large a picture is to be, and what this app does not do is refused") {
            same(Images(280, 48), Images.read(feeding(images())))
            same(null, Images.read(feeding("null")))
            failsWith<RefusedException>("resize.filter is missing") { Images.read(feeding(images(cut = "null"))) }
            failsWith<RefusedException>("lacks png") { Images.read(feeding(images(cut = "{\"formats\":[\"jpeg\"]}"))) }
            failsWith<RefusedException>("this app knows largest_within") { Images.read(feeding(images(rule = "stretched"))) }
            for (tokens in listOf("0", "65537")) failsWith<RefusedException>("tokens is $tokens") { Images.read(feeding(images(tokens))) }
            failsWith<RefusedException>("tokens is not") { Images.read(feeding(images("\"many\""))) }
        }
        case("what reads a picture counts where memory is checked") {
            val text = File(manifest).readText()
            val plain = Manifest.parse(text.toByteArray())
            same(listOf(null, 0L), listOf(plain.feeding.images, plain.memory.pictures))
            val fed = text.replace(Regex("(\"feeding\": \\{.*?)\"images\": null", RegexOption.DOT_MATCHES_ALL), "$1\"images\": ${images()}")
            val reading = { working: String ->
                val images = "\"images\": {\"mapped_weights\": 30000000, \"working\": $working}"
                Manifest.parse(signed(fed.replace(Regex("(\"memory\": \\{[^}]*)\"images\": null"), "$1$images")))
            }
            val seeing = reading("12000000")
            same(listOf(IMAGES, 42_000_000L), listOf(seeing.feeding.images, seeing.memory.pictures))
            same(30_000_000L, reading("null").memory.pictures) // nobody estimated it
            val need = { of: Manifest -> MemoryCheck.check(of.memory, PLENTY, PLENTY).need }
            same(42_000_000L, need(seeing) - need(plain))
        }
        case("a picture stays in the conversation, also where another session goes on with it") {
            val engine = ScriptEngine { history, turn, _, _ ->
                val seen = (history + turn).map { it.pictures }
                if (turn.text == "fail") throw EngineException("broken")
                Answer("$seen", Ending.DONE, null)
            }
            Conversation(engine).use { talk ->
                same("[[/a.png]]", talk.say("look", pictures = listOf("/a.png")) {}.text)
                same("[[/a.png], [], []]", talk.say("and?") {}.text)
                failsWith<EngineException>("broken") { talk.say("fail", pictures = listOf("/b.png")) {} }
                same("[[/a.png], [], [], [], [/c.png]]", talk.say("again", pictures = listOf("/c.png")) {}.text)
                same(listOf(2, 0), listOf(engine.starts.size, engine.starts[0].history.size))
            }
        }
        case("an engine that takes no pictures says so and is not asked") {
            val blind = LogitsEngine(Backend.CPU, Goldens.steps, setOf(Goldens.STOP))
            same(false, blind.pictures)
            Conversation(blind).use { talk ->
                failsWith<EngineException>("takes no pictures") { talk.say("Hello?", pictures = listOf("/a.png")) {} }
            }
        }
        end()
    }
}
