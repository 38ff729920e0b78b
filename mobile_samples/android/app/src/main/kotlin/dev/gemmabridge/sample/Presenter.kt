package dev.gemmabridge.sample

import dev.gemmabridge.core.Backend
import dev.gemmabridge.core.Calculator
import dev.gemmabridge.core.Cancel
import dev.gemmabridge.core.Choice
import dev.gemmabridge.core.Clock
import dev.gemmabridge.core.ContextFullException
import dev.gemmabridge.core.Conversation
import dev.gemmabridge.core.Download
import dev.gemmabridge.core.Ending
import dev.gemmabridge.core.Engine
import dev.gemmabridge.core.EngineException
import dev.gemmabridge.core.EngineFactory
import dev.gemmabridge.core.EngineSettings
import dev.gemmabridge.core.Fallback
import dev.gemmabridge.core.FirstStart
import dev.gemmabridge.core.Manifest
import dev.gemmabridge.core.MemoryCheck
import dev.gemmabridge.core.MemoryVerdict
import dev.gemmabridge.core.ModelImport
import dev.gemmabridge.core.Phase
import dev.gemmabridge.core.Picture
import dev.gemmabridge.core.PictureException
import dev.gemmabridge.core.PictureTrouble
import dev.gemmabridge.core.Progress
import dev.gemmabridge.core.RefusedException
import dev.gemmabridge.core.Sampling
import dev.gemmabridge.core.SelfTest
import dev.gemmabridge.core.SessionSettings
import dev.gemmabridge.core.ToolListener
import dev.gemmabridge.core.TransferException
import java.io.File
import java.io.IOException
import java.io.InputStream
import java.util.concurrent.ExecutorService
import java.util.concurrent.Executors
import dev.gemmabridge.core.Trouble as TransferTrouble
import dev.gemmabridge.core.Verdict as TestVerdict

/**
 * What the app does, without a view: from no model to a chat, one step after the other on a thread of its own.
 *
 * Every method may be called by the user interface's thread and returns at once.
 *
 * @param engines the engine for a bundle, by its manifest; a bundle for another engine is refused.
 * @param url where the model is, its other files beside it; empty where people have to choose a file.
 * @param show receives every new [Screen], on any thread.
 */
class Presenter(
    private val device: Device,
    private val engines: (Manifest) -> EngineFactory,
    private val url: String,
    private val show: (Screen) -> Unit,
) {
    private val worker: ExecutorService = Executors.newSingleThreadExecutor()
    private val lock = Any()

    @Volatile private var cancel = Cancel()

    @Volatile private var chat: Conversation? = null

    @Volatile var screen = Screen()
        private set

    // Only the worker touches these.
    private var store: Store? = null
    private var engine: Engine? = null

    fun start() = work { open(careful = true) }

    /** An answer to a card. [Action.IMPORT] is not for here: the system's file picker comes first. */
    fun act(action: Action) {
        when (action) {
            Action.CANCEL -> cancel.cancel()
            Action.DOWNLOAD -> work {
                bring(Task.DOWNLOADING) { store, watch ->
                    store.each(watch) { file, to, part -> Download().fetch(store.address(url, file), to, file, part, cancel) }
                }
            }
            Action.GO_ON -> work { open(careful = false) }
            Action.NEW_CHAT -> newChat()
            Action.BACK -> update { it.copy(trouble = null) }
            Action.RETRY -> if (screen.trouble != null) update { it.copy(trouble = null) } else start()
            Action.IMPORT -> error("the file picker answers this")
        }
    }

    /** Copies the model from a file that the user chose; [source] opens it. */
    fun import(source: () -> InputStream?) = work {
        bring(Task.IMPORTING) { store, watch ->
            val stream = source() ?: throw IOException("the file cannot be opened")
            ModelImport.copy(stream, store.model, store.manifest.model, watch, cancel)
        }
    }

    /** Sends the message with the picture that was chosen for it; a picture needs no words. */
    fun send(message: String) {
        val picture = screen.picture
        if ((message.isBlank() && picture == null) || screen.answering || screen.card != null || screen.readsPicture) return
        val lines = screen.lines + Line(true, message, picture = picture) + Line(false, "")
        update { it.copy(lines = lines, answering = true, draft = "", picture = null, pictureTrouble = null) }
        work { answer(message, picture) }
    }

    /** A picture for the next message, in the place of one that was chosen before; [source] opens it. */
    fun attach(source: () -> InputStream?) {
        // Where no model is loaded yet, the camera may have ended the app that asked for the photo: it is waited for.
        if (screen.card == null && !screen.pictures) return
        update { it.copy(readsPicture = true, pictureTrouble = null) }
        work { take(source) }
    }

    private fun take(source: () -> InputStream?) {
        val images = store?.manifest?.feeding?.images
        if (!screen.pictures || images == null) return update { it.copy(readsPicture = false) }
        val before = screen.picture
        try {
            val stream = try {
                source()
            } catch (error: Exception) { // another app's failure, of whatever kind
                throw PictureException(PictureTrouble.GONE, error)
            }
            val picture = (stream ?: throw PictureException(PictureTrouble.GONE)).use { device.picture(it, images) }
            update { it.copy(picture = picture, readsPicture = false) }
            before?.let { forget(it) }
        } catch (error: PictureException) {
            update { it.copy(pictureTrouble = error.trouble, readsPicture = false) }
        }
    }

    /** Takes back the picture that was chosen, or the word that there is none. */
    fun detach() {
        val picture = screen.picture
        update { it.copy(picture = null, pictureTrouble = null) }
        if (picture != null) work { forget(picture) }
    }

    private fun forget(picture: Picture) {
        File(picture.path).delete()
        File(picture.thumbnail).delete()
    }

    /** Deletes the pictures of conversations that are over; the one for the next message stays. */
    private fun forgetPictures() {
        val kept = screen.picture?.let { setOf(it.path, it.thumbnail) }.orEmpty()
        device.pictures.listFiles().orEmpty().filter { it.path !in kept }.forEach { it.delete() }
    }

    /** Whether answers take the likeliest word each time, so that the drafter guesses; from the next message on. */
    fun faster(on: Boolean) {
        if (screen.faster == null) return
        update { it.copy(faster = on) }
        work {
            chat?.sample(sampling(on))
            store?.faster = on
        }
    }

    /** Null: as the checkpoint asks for it. */
    private fun sampling(faster: Boolean) = if (faster) Sampling.GREEDY else null

    fun stop() {
        chat?.stop()
    }

    fun newChat() {
        chat?.stop()
        work {
            chat?.restart()
            forgetPictures()
            update { it.copy(lines = emptyList(), answering = false, trouble = null) }
        }
    }

    /** Ends everything and waits for nothing. */
    fun close() {
        cancel.cancel()
        chat?.stop()
        worker.execute { release() }
        worker.shutdown()
    }

    private fun open(careful: Boolean) {
        cancel = Cancel()
        busy(Task.LOOKING)
        val here = try {
            store ?: Store(device).also { store = it }
        } catch (error: RefusedException) {
            return fail(Trouble.BUNDLE, error.message, listOf(Action.RETRY))
        }
        update { it.copy(name = here.manifest.name) }
        if (here.isReady(progress(Task.CHECKING), cancel)) return load(here, careful)
        if (!here.isPacked()) return missing(here)
        bring(Task.UNPACKING) { store, watch ->
            store.each(watch) { file, to, part -> ModelImport.copy(store.packed(file), to, file, part, cancel) }
        }
    }

    private fun missing(here: Store) = card(Card.Missing(here.bytes, sources()))

    /** One file can be chosen; several come together, by download or over adb. */
    private fun sources(): List<Action> {
        val chosen = if (store?.files?.size == 1) Action.IMPORT else Action.RETRY
        return if (url.isEmpty()) listOf(chosen) else listOf(Action.DOWNLOAD, chosen)
    }

    /** Gets the model by [how], then loads it. */
    private fun bring(task: Task, how: (Store, Progress) -> Unit) {
        val here = store ?: return open(careful = true)
        cancel = Cancel()
        busy(task)
        try {
            how(here, progress(task))
        } catch (error: TransferException) {
            if (error.trouble == TransferTrouble.CANCELLED) return missing(here)
            return fail(named(error.trouble), error.message, listOf(Action.RETRY) + sources())
        } catch (error: IOException) {
            return fail(Trouble.FILE, error.message, sources())
        }
        here.stamp()
        load(here, careful = true)
    }

    private fun named(trouble: TransferTrouble) = when (trouble) {
        TransferTrouble.NO_SPACE, TransferTrouble.STORAGE -> Trouble.SPACE
        TransferTrouble.NETWORK, TransferTrouble.SERVER, TransferTrouble.CANCELLED -> Trouble.NETWORK
        TransferTrouble.WRONG_FILE -> Trouble.FILE
    }

    private fun load(here: Store, careful: Boolean) {
        release()
        forgetPictures()
        val (total, free) = device.memory()
        val memory = MemoryCheck.check(here.manifest.memory, total, free)
        if (careful && memory.verdict == MemoryVerdict.TOO_SMALL) {
            return fail(Trouble.MEMORY, memory.message, listOf(Action.RETRY, Action.GO_ON))
        }
        val settings = EngineSettings(
            here.model.path,
            device.cache.path,
            contextTokens = here.manifest.contextTokens,
            drafter = here.manifest.drafter,
            pictures = here.manifest.feeding.images?.let { maxOf(1, here.manifest.contextTokens / it.tokens) } ?: 0,
        )
        val choice = try {
            val roomy = Roomy(engines(here.manifest), here.manifest.packedWeights)
            Fallback(roomy, SelfTest(here.golden), File(device.folder, "trying")).choose(
                settings,
                here.manifest.artifactSha256,
                { done, of -> busy(Task.TESTING, done.toLong(), of.toLong()) },
                cancel,
            )
        } catch (error: RefusedException) {
            return fail(Trouble.BUNDLE, error.message, listOf(Action.RETRY))
        } catch (error: TransferException) {
            if (error.trouble == TransferTrouble.CANCELLED) throw error
            return fail(named(error.trouble), error.message, listOf(Action.RETRY))
        }
        report(Report.json(device.name, here.manifest, choice))
        val ready = choice.engine ?: return refused(choice)
        engine = ready
        val faster = if (here.manifest.drafter) here.faster else null
        chat = Conversation(ready, settings = talking(here.manifest.contextTokens, sampling(faster == true)))
        val verdict = verdict(choice, ready)
        update {
            it.copy(
                card = null,
                verdict = verdict,
                lines = emptyList(),
                trouble = null,
                faster = faster,
                pictures = ready.pictures,
                picture = it.picture.takeIf { ready.pictures },
            )
        }
    }

    /** Says what is loaded; on the CPU the engine writes files at its first start, for which there has to be room. */
    private inner class Roomy(private val inner: EngineFactory, private val packed: Long) : EngineFactory {
        override val backends = inner.backends

        override fun open(settings: EngineSettings, backend: Backend): Engine {
            val left = if (backend == Backend.CPU) FirstStart.left(device.cache, packed) else 0
            FirstStart.refusal(left, device.free())?.let { throw TransferException(TransferTrouble.NO_SPACE, it) }
            card(if (left > 0) Card.Busy(Task.PREPARING, writes = left) else Card.Busy(Task.LOADING))
            return inner.open(settings, backend)
        }
    }

    private fun refused(choice: Choice) {
        val loaded = choice.trials.any { it.report != null }
        val trouble = if (loaded) Trouble.SELF_TEST else Trouble.ENGINE
        card(Card.Failed(trouble, choice.reasons(), listOf(Action.RETRY)))
    }

    private fun verdict(choice: Choice, ready: Engine): Verdict {
        val left = choice.trials.firstOrNull { it.why.isNotEmpty() }
        val compared = choice.trials.last().report?.count(TestVerdict.PASSED) ?: 0
        return Verdict(ready.backend.name, compared, false, left?.backend?.name ?: "", left?.why ?: "")
    }

    /** One answer takes half of the context at most: a model that does not stop leaves room to go on. */
    private fun talking(context: Int, sampling: Sampling?) =
        SessionSettings(sampling = sampling, maxTokens = context / 2, tools = listOf(Clock(), Calculator()))

    private fun answer(message: String, picture: Picture?) {
        val talk = chat ?: return update { it.copy(answering = false) }
        var line = Line(false, "")
        val used = ToolListener { call, answer ->
            line = line.copy(used = line.used + Used(call.name, answer.shown()))
            last(line)
        }
        try {
            val answer = talk.say(message, used, listOfNotNull(picture?.path)) { piece ->
                line = line.copy(text = line.text + piece)
                last(line)
            }
            last(
                line.copy(
                    text = answer.text,
                    tokens = answer.speed?.tokens ?: 0,
                    tokensPerSecond = answer.speed?.tokensPerSecond ?: 0.0,
                    stopped = answer.ending == Ending.CANCELLED,
                    cut = cut(answer.ending),
                ),
            )
            update { it.copy(answering = false) }
        } catch (error: ContextFullException) {
            // Where nothing was said yet, a new chat has no more room.
            if (talk.turns.isEmpty()) unanswered(message, picture, Trouble.TOO_LONG, error, Action.BACK)
            else unanswered(message, picture, Trouble.FULL, error, Action.NEW_CHAT, Action.BACK)
        } catch (error: EngineException) {
            unanswered(message, picture, Trouble.ANSWER, error, Action.RETRY, Action.NEW_CHAT)
        }
    }

    private fun cut(ending: Ending) = when (ending) {
        Ending.LIMIT -> Cut.LIMIT
        Ending.CONTEXT -> Cut.CONTEXT
        Ending.DONE, Ending.CANCELLED -> null
    }

    /** The message goes back into the field, and its picture beside it. */
    private fun unanswered(
        message: String,
        picture: Picture?,
        trouble: Trouble,
        error: Exception,
        vararg actions: Action,
    ) {
        val card = Card.Failed(trouble, error.message ?: "", actions.toList())
        val lines = screen.lines.dropLast(2)
        update { it.copy(lines = lines, answering = false, trouble = card, draft = message, picture = picture) }
    }

    private fun last(line: Line) = update { it.copy(lines = it.lines.dropLast(1) + line) }

    private fun release() {
        chat?.close()
        chat = null
        engine?.close()
        engine = null
    }

    private fun report(text: String) {
        try {
            File(device.folder, Report.FILE).writeText(text)
        } catch (error: IOException) {
            // A chat does not depend on it; a device test that waits for the file says that it did not come.
        }
    }

    private fun busy(task: Task, done: Long = 0, total: Long = 0) = card(Card.Busy(task, done, total))

    /** What ends before the self-test; whoever waits for its file shall not wait for nothing. */
    private fun fail(trouble: Trouble, detail: String?, actions: List<Action>) {
        report(Report.failure(device.name, "$trouble: $detail"))
        card(Card.Failed(trouble, detail ?: "", actions))
    }

    /** A step of a percent at most: every byte would keep the user interface busy. */
    private fun progress(task: Task): Progress {
        var shown = -1L
        return Progress { phase, done, total ->
            val now = if (total > 0) done * PERCENT / total else 0
            if (now != shown || done == total) {
                shown = now
                busy(if (phase == Phase.CHECK) Task.CHECKING else task, done, total)
            }
        }
    }

    private fun card(card: Card) = update { it.copy(card = card, answering = false) }

    /** Also the user interface's thread changes the screen: one change after the other, and shown in that order. */
    private fun update(change: (Screen) -> Screen) = synchronized(lock) {
        screen = change(screen)
        show(screen)
    }

    private fun work(step: () -> Unit) {
        if (worker.isShutdown) return
        worker.execute {
            try {
                step()
            } catch (error: TransferException) { // a check or a self-test that was cancelled
                store?.let { missing(it) }
            } catch (error: Exception) {
                fail(Trouble.ENGINE, error.toString(), listOf(Action.RETRY))
            }
        }
    }

    private companion object {
        const val PERCENT = 100
    }
}
