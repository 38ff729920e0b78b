package dev.gemmabridge.test

import dev.gemmabridge.core.PictureTrouble
import dev.gemmabridge.sample.Action
import dev.gemmabridge.sample.Screen
import dev.gemmabridge.sample.Trouble
import java.io.File
import java.io.IOException
import java.util.concurrent.CountDownLatch

private const val IMAGES =
    "{\"tokens\":70,\"resize\":{\"rule\":\"largest_within\",\"multiple\":48},\"cut_by\":{\"formats\":[\"jpeg\",\"png\"]}}"

/** The same where the app has to cut pictures. */
private const val CUT =
    "{\"tokens\":70,\"resize\":{\"rule\":\"largest_within\",\"multiple\":48,\"filter\":\"bicubic\"}," +
        "\"pixels\":{\"orientation\":\"exif_first\",\"alpha\":\"over_white\",\"channels\":\"rgb\",\"scale\":0.1,\"order\":\"rows_of_pixels\"}," +
        "\"patches\":{\"side\":16,\"pool\":3,\"order\":\"row_by_row\",\"positions\":\"x_y\",\"padding\":null}," +
        "\"lengths\":[{\"tokens\":70,\"patches\":null,\"calls\":[{\"section\":\"vision\",\"inputs\":[{\"name\":\"a\",\"source\":\"patches\"}," +
        "{\"name\":\"b\",\"source\":\"positions\"}],\"outputs\":[{\"name\":\"c\",\"meaning\":\"rows\"}]}]}]," +
        "\"around\":{\"begin\":{\"id\":1},\"each\":{\"id\":2},\"end\":{\"id\":3}},\"cut_by\":null}"

private fun Run.start(images: String = IMAGES) {
    device.images = images
    presenter.start()
}

private fun Run.attach(text: String) = presenter.attach { text.byteInputStream() }

private fun Run.attached(text: String): Screen {
    attach(text)
    return until("picture $text") { it.picture?.path?.endsWith("$text.png") == true }
}

private fun Run.trouble(trouble: PictureTrouble): Screen = until("$trouble") { it.pictureTrouble == trouble }

private fun Run.files() = device.pictures.list()!!.sorted()

/** Pictures in the app. Arguments: a bundle's folder, a folder to work in. */
fun main(args: Array<String>) {
    val suite = Suite()
    val bundle = File(args[0])

    fun case(name: String, body: Run.() -> Unit) = suite.case(name) {
        val work = File(args[1], name.replace(' ', '-')).apply { mkdirs() }
        Run(bundle, work, true) { KnowingFactory(it, CPU) }.apply {
            body()
            presenter.close()
        }
    }

    case("a model that takes no pictures has no button and takes none") {
        start("")
        equal(listOf(chat().pictures, double.given.single().pictures), listOf(false, 0))
        attach("one")
        presenter.send("What is 17 + 25?")
        until("an answer") { it.lines.size == 2 && !it.answering }
        equal(presenter.screen.copy(lines = emptyList()).let { listOf(it.picture, it.pictureTrouble, it.readsPicture) }, listOf(null, null, false))
        equal(files(), emptyList<String>())
    }
    case("a picture goes with the message and is seen above it") {
        start()
        equal(chat().pictures, true)
        equal(double.given.single().pictures > 0, true)
        val picture = attached("one").picture!!
        equal(File(picture.path).readText(), "70") // the device was told how large the model wants it
        presenter.send("What is 17 + 25?")
        val asked = until("a question") { it.lines.isNotEmpty() }
        equal(listOf(asked.lines[0].picture, asked.picture), listOf(picture, null))
        until("an answer") { it.lines.size == 2 && !it.answering }
        equal(double.sent, listOf(listOf(picture.path)))
        presenter.send("Is a whale a fish?")
        until("an answer") { it.lines.size == 4 && !it.answering }
        equal(double.sent.last(), emptyList<String>())
    }
    case("nothing is sent while a picture is read that belongs to it") {
        start()
        chat()
        val hold = CountDownLatch(1)
        presenter.attach {
            hold.await()
            "one".byteInputStream()
        }
        equal(presenter.screen.readsPicture, true)
        presenter.send("look")
        equal(presenter.screen.lines.size, 0)
        hold.countDown()
        equal(until("a picture") { it.picture != null }.readsPicture, false)
        presenter.send("look")
        until("an answer") { it.lines.size == 2 && !it.answering }
        equal(double.sent.single().size, 1)
    }
    case("a picture needs no words") {
        start()
        chat()
        presenter.send(" ")
        attached("one")
        presenter.send(" ")
        until("an answer") { it.lines.size == 2 && !it.answering }
        equal(double.sent.size, 1)
    }
    case("what cannot be read is said in a line, and the picture before it stays") {
        start()
        chat()
        attached("one")
        for (trouble in PictureTrouble.values()) {
            attach(trouble.name)
            val screen = trouble(trouble)
            equal(screen.picture?.path?.endsWith("one.png"), true)
            presenter.detach()
            until("nothing") { it.pictureTrouble == null && it.picture == null }
            attached("one")
        }
        equal(presenter.screen.card, null)
    }
    case("a source that fails or gives nothing is said to be gone") {
        start()
        chat()
        presenter.attach { null }
        trouble(PictureTrouble.GONE)
        presenter.detach()
        until("nothing") { it.pictureTrouble == null }
        presenter.attach { throw SecurityException("revoked") }
        trouble(PictureTrouble.GONE)
        presenter.detach()
        until("nothing") { it.pictureTrouble == null }
        presenter.attach { throw IOException("gone") }
        trouble(PictureTrouble.GONE)
    }
    case("another choice takes the place of the first, whose files go") {
        start()
        chat()
        attached("one")
        attached("two")
        attached("three")
        presenter.detach()
        attached("four")
        equal(files(), listOf("four.jpg", "four.png"))
    }
    case("a message that was not answered comes back with its picture") {
        start()
        chat()
        val picture = attached("one").picture
        double.breakAnswers = true
        presenter.send("look")
        val screen = until("trouble") { it.trouble != null }
        equal(listOf(screen.trouble!!.trouble, screen.draft, screen.picture, screen.lines.size), listOf(Trouble.ANSWER, "look", picture, 0))
        equal(files().size, 2)
        double.breakAnswers = false
        presenter.act(Action.RETRY)
        presenter.send("look")
        until("an answer") { it.lines.size == 2 && !it.answering }
        equal(double.sent, listOf(listOf(picture!!.path), listOf(picture.path)))
    }
    case("a new chat forgets the pictures of the old one and keeps the next message's") {
        start()
        chat()
        attached("one")
        presenter.send("look")
        until("an answer") { it.lines.size == 2 && !it.answering }
        equal(files().size, 2)
        attached("two")
        presenter.newChat()
        until("a new chat") { it.lines.isEmpty() }
        equal(files(), listOf("two.jpg", "two.png"))
    }
    case("pictures of an earlier start are gone") {
        start()
        chat()
        attached("one")
        presenter.start()
        until("loading") { it.card != null }
        equal(chat().picture?.path?.endsWith("one.png"), true) // a photo app may have ended this one in between
        val again = Run(bundle, device.folder, true) { KnowingFactory(it, CPU) }
        again.device.images = IMAGES
        again.presenter.start()
        again.chat()
        equal(again.files(), emptyList<String>())
        again.presenter.close()
    }
    case("a manifest that leaves the cutting to the app is refused where the engine cuts") {
        start(CUT)
        equal(failed(Trouble.BUNDLE).detail, "manifest.feeding.images.cut_by is null; LiteRT-LM cuts pictures itself")
    }
    suite.end()
}
