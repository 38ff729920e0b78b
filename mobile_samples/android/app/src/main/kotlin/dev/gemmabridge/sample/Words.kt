package dev.gemmabridge.sample

import android.content.Context
import android.text.format.Formatter
import dev.gemmabridge.core.Picture
import dev.gemmabridge.core.PictureTrouble

/** The words for what [Screen] says, in the user's language. */
internal object Words {
    fun title(card: Card): Int = when (card) {
        is Card.Busy -> when (card.task) {
            Task.LOOKING -> R.string.busy_looking
            Task.UNPACKING -> R.string.busy_unpacking
            Task.DOWNLOADING -> R.string.busy_downloading
            Task.IMPORTING -> R.string.busy_importing
            Task.CHECKING -> R.string.busy_checking
            Task.PREPARING -> R.string.busy_preparing
            Task.LOADING -> R.string.busy_loading
            Task.TESTING -> R.string.busy_testing
        }
        is Card.Missing -> R.string.missing_title
        is Card.Failed -> when (card.trouble) {
            Trouble.BUNDLE -> R.string.trouble_bundle
            Trouble.SPACE -> R.string.trouble_space
            Trouble.NETWORK -> R.string.trouble_network
            Trouble.FILE -> R.string.trouble_file
            Trouble.MEMORY -> R.string.trouble_memory
            Trouble.ENGINE -> R.string.trouble_engine
            Trouble.SELF_TEST -> R.string.trouble_self_test
            Trouble.ANSWER -> R.string.trouble_answer
            Trouble.TOO_LONG -> R.string.trouble_too_long
            Trouble.FULL -> R.string.trouble_full
        }
    }

    fun text(context: Context, name: String, card: Card): String = when (card) {
        is Card.Busy -> when {
            card.task == Task.PREPARING -> context.getString(R.string.preparing_text, size(context, card.writes))
            card.total > 0 && card.task != Task.TESTING ->
                context.getString(R.string.of_bytes, size(context, card.done), size(context, card.total))
            else -> ""
        }
        is Card.Missing -> context.getString(R.string.missing_text, name, size(context, card.bytes))
        is Card.Failed -> context.getString(
            when (card.trouble) {
                Trouble.BUNDLE -> R.string.help_bundle
                Trouble.SPACE -> R.string.help_space
                Trouble.NETWORK -> R.string.help_network
                Trouble.FILE -> R.string.help_file
                Trouble.MEMORY -> R.string.help_memory
                Trouble.ENGINE -> R.string.help_engine
                Trouble.SELF_TEST -> R.string.help_self_test
                Trouble.ANSWER -> R.string.help_answer
                Trouble.TOO_LONG -> R.string.help_too_long
                Trouble.FULL -> R.string.help_full
            },
        )
    }

    fun action(action: Action): Int = when (action) {
        Action.DOWNLOAD -> R.string.download
        Action.IMPORT -> R.string.choose_file
        Action.CANCEL -> R.string.cancel
        Action.RETRY -> R.string.retry
        Action.GO_ON -> R.string.go_on
        Action.NEW_CHAT -> R.string.new_chat
        Action.BACK -> R.string.back
    }

    /** What can be said of a picture without looking at it. */
    fun picture(context: Context, picture: Picture): String =
        context.getString(R.string.your_picture, picture.size.width, picture.size.height)

    fun trouble(trouble: PictureTrouble): Int = when (trouble) {
        PictureTrouble.GONE -> R.string.picture_gone
        PictureTrouble.UNREADABLE -> R.string.picture_unreadable
        PictureTrouble.CUT_OFF -> R.string.picture_cut_off
        PictureTrouble.TOO_LARGE -> R.string.picture_too_large
        PictureTrouble.MEMORY -> R.string.picture_memory
        PictureTrouble.SPACE -> R.string.picture_space
    }

    fun verdict(context: Context, verdict: Verdict): String {
        val said = when {
            verdict.failed -> context.getString(R.string.verdict_failed, verdict.backend)
            verdict.compared == 0 -> context.getString(R.string.verdict_unknown, verdict.backend)
            else -> context.getString(R.string.verdict_passed, verdict.backend, verdict.compared)
        }
        if (verdict.fellBack.isEmpty()) return said
        return said + "\n" + context.getString(R.string.fell_back, verdict.fellBack, verdict.why)
    }

    /** Below an answer: which tools it used, why it ended early, how fast it came; empty when there is nothing to say. */
    fun note(context: Context, line: Line): String {
        val parts = ArrayList<String>()
        if (line.stopped) parts.add(context.getString(R.string.stopped))
        when (line.cut) {
            Cut.LIMIT -> parts.add(context.getString(R.string.cut_by_limit))
            Cut.CONTEXT -> parts.add(context.getString(R.string.cut_by_context))
            null -> Unit
        }
        if (line.tokens > 0) {
            val rate = String.format(java.util.Locale.getDefault(), "%.1f", line.tokensPerSecond)
            parts.add(context.getString(R.string.speed, line.tokens, rate))
        }
        val used = line.used.map { context.getString(R.string.used_tool, it.tool, it.said) }
        return (used + parts.joinToString(" ")).filter { it.isNotEmpty() }.joinToString("\n")
    }

    private fun size(context: Context, bytes: Long): String = Formatter.formatFileSize(context, bytes)
}
