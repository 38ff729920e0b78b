package dev.gemmabridge.sample

import dev.gemmabridge.core.Picture
import dev.gemmabridge.core.PictureTrouble

/** What the app does when nobody can write yet. */
enum class Task { LOOKING, UNPACKING, DOWNLOADING, IMPORTING, CHECKING, PREPARING, LOADING, TESTING }

/** What went wrong; each has a title and a piece of advice in the resources. */
enum class Trouble { BUNDLE, SPACE, NETWORK, FILE, MEMORY, ENGINE, SELF_TEST, ANSWER, TOO_LONG, FULL }

/** What a button on the card does. */
enum class Action { DOWNLOAD, IMPORT, CANCEL, RETRY, GO_ON, NEW_CHAT, BACK }

/** What stands in place of the chat until there is one. */
sealed class Card {
    abstract val actions: List<Action>

    /**
     * Work in progress, in bytes, of [Task.TESTING] in prompts; [total] is 0 where nobody knows how much is left.
     * [writes] are the bytes of storage that [Task.PREPARING] takes.
     */
    data class Busy(val task: Task, val done: Long = 0, val total: Long = 0, val writes: Long = 0) : Card() {
        override val actions =
            if (task == Task.DOWNLOADING || task == Task.IMPORTING) listOf(Action.CANCEL) else emptyList()
    }

    /** The model of [bytes] is not here. */
    data class Missing(val bytes: Long, override val actions: List<Action>) : Card()

    /** [detail] is for people who want to know more: what was found, in the words of whoever found it. */
    data class Failed(val trouble: Trouble, val detail: String, override val actions: List<Action>) : Card()
}

/** A tool that the model used for an answer, and what that said. */
data class Used(val tool: String, val said: String)

/** What cut an answer: the limit of an answer, or the end of the context, after which nothing more can be said. */
enum class Cut { LIMIT, CONTEXT }

/** One message in the chat. */
data class Line(
    val mine: Boolean,
    val text: String,
    val tokens: Int = 0,
    val tokensPerSecond: Double = 0.0,
    val stopped: Boolean = false,
    val cut: Cut? = null,
    val used: List<Used> = emptyList(),
    val picture: Picture? = null,
)

/** What the self-test on this device said; [fellBack] names what was tried before and why it was left. */
data class Verdict(
    val backend: String,
    val compared: Int,
    val failed: Boolean,
    val fellBack: String = "",
    val why: String = "",
)

/**
 * Everything that is to be seen: drawing it twice changes nothing.
 *
 * @property trouble covers the chat until the user answers it.
 * @property faster whether answers take the likeliest word each time, for which the model's drafter guesses; null: it has
 *     none.
 * @property draft goes back into the field: a message that was not answered.
 * @property pictures whether a picture can go with a message.
 * @property picture goes with the next message.
 * @property readsPicture one is being read, and will go with it: nothing is sent until it is there.
 * @property pictureTrouble why the one that was chosen last does not.
 */
data class Screen(
    val name: String = "",
    val card: Card? = Card.Busy(Task.LOOKING),
    val verdict: Verdict? = null,
    val lines: List<Line> = emptyList(),
    val answering: Boolean = false,
    val trouble: Card.Failed? = null,
    val draft: String = "",
    val faster: Boolean? = null,
    val pictures: Boolean = false,
    val picture: Picture? = null,
    val readsPicture: Boolean = false,
    val pictureTrouble: PictureTrouble? = null,
)
