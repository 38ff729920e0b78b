package dev.gemmabridge.sample

import android.app.Activity
import android.view.LayoutInflater
import android.view.View
import android.view.WindowInsets
import android.widget.Button
import android.widget.CheckBox
import android.widget.EditText
import android.widget.ImageButton
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.ListView
import android.widget.ProgressBar
import android.widget.TextView

/** Draws a [Screen]. Knows views and nothing of models. */
internal class Drawing(private val activity: Activity, private val act: (Action) -> Unit) {
    private val title = activity.findViewById(R.id.title) as TextView
    private val verdict = activity.findViewById(R.id.verdict) as TextView
    private val chat = activity.findViewById(R.id.chat) as ListView
    private val empty = activity.findViewById(R.id.empty) as View
    private val card = activity.findViewById(R.id.card) as View
    private val bar = activity.findViewById(R.id.bar) as View
    private val newChat = activity.findViewById(R.id.new_chat) as View
    private val send = activity.findViewById(R.id.send) as ImageButton
    private val actions = activity.findViewById(R.id.actions) as LinearLayout
    private val addPicture = activity.findViewById(R.id.add_picture) as View
    private val attached = activity.findViewById(R.id.attached) as View
    private val detach = activity.findViewById(R.id.detach) as View
    private val attachedText = activity.findViewById(R.id.attached_text) as TextView
    private val attachedImage = activity.findViewById(R.id.attached_image) as ImageView
    private val thumbnails = Thumbnails()
    private val bubbles = Bubbles(activity, thumbnails)
    private var shown: Screen? = null

    val faster = activity.findViewById(R.id.faster) as CheckBox
    val message = activity.findViewById(R.id.message) as EditText

    init {
        chat.adapter = bubbles
        edges()
    }

    fun draw(screen: Screen) {
        val before = shown
        shown = screen
        title.text = screen.name.ifEmpty { activity.getString(R.string.app_name) }
        draw(screen.verdict)
        val open = screen.card ?: screen.trouble
        show(card, open != null)
        if (open != null && open != (before?.card ?: before?.trouble)) draw(screen.name, open, before)
        val chatting = open == null
        show(chat, chatting)
        show(bar, chatting)
        show(faster, chatting && screen.faster != null)
        if (faster.isChecked != (screen.faster == true)) faster.isChecked = screen.faster == true
        show(newChat, chatting && screen.lines.isNotEmpty())
        show(empty, chatting && screen.lines.isEmpty())
        bubbles.show(screen.lines)
        show(addPicture, screen.pictures)
        attach(screen)
        if (screen.draft.isNotEmpty() && screen.draft != before?.draft) message.setText(screen.draft)
        send.setImageResource(if (screen.answering) R.drawable.ic_stop else R.drawable.ic_send)
        send.contentDescription = activity.getString(if (screen.answering) R.string.stop else R.string.send)
        // An answer is read out once and whole; word by word nobody could follow it.
        if (before?.answering == true && !screen.answering) {
            screen.lines.lastOrNull()?.let {
                chat.announceForAccessibility(activity.getString(R.string.model_said, it.text))
            }
        }
        if (before?.card != null && chatting) {
            chat.announceForAccessibility(activity.getString(R.string.model_ready, screen.name))
        }
    }

    /** What goes with the next message, or why the picture that was chosen does not; or neither. */
    private fun attach(screen: Screen) {
        val (picture, trouble) = Pair(screen.picture, screen.pictureTrouble)
        val open = screen.card ?: screen.trouble
        show(attached, open == null && (picture != null || trouble != null || screen.readsPicture))
        show(detach, !screen.readsPicture)
        show(attachedImage, picture != null)
        attachedImage.clipToOutline = true
        attachedImage.setImageBitmap(picture?.let { thumbnails.of(it) })
        val text = when {
            screen.readsPicture -> activity.getString(R.string.reading_picture)
            trouble != null -> activity.getString(Words.trouble(trouble))
            picture != null -> Words.picture(activity, picture)
            else -> ""
        }
        if (attachedText.text.toString() != text) attachedText.text = text
        attachedText.setTextColor(activity.getColor(if (trouble != null) R.color.fail else R.color.muted))
    }

    private fun draw(said: Verdict?) {
        show(verdict, said != null)
        if (said == null) return
        val text = Words.verdict(activity, said)
        if (verdict.text.toString() != text) verdict.text = text
        verdict.setTextColor(
            activity.getColor(
                when {
                    said.failed -> R.color.fail
                    said.compared == 0 -> R.color.muted
                    else -> R.color.pass
                },
            ),
        )
    }

    private fun draw(name: String, open: Card, before: Screen?) {
        val heading = activity.getString(Words.title(open))
        val cardTitle = activity.findViewById(R.id.card_title) as TextView
        if (cardTitle.text.toString() != heading) cardTitle.text = heading
        cardTitle.setTextColor(activity.getColor(if (open is Card.Failed) R.color.fail else R.color.ink))
        fill(R.id.card_text, Words.text(activity, name, open))
        fill(R.id.card_detail, (open as? Card.Failed)?.detail ?: "")
        val progress = activity.findViewById(R.id.progress) as ProgressBar
        show(progress, open is Card.Busy)
        if (open is Card.Busy) {
            progress.isIndeterminate = open.total <= 0
            progress.max = STEPS
            progress.progress = if (open.total > 0) (open.done * STEPS / open.total).toInt() else 0
        }
        // Buttons stay the same views while they mean the same, so that focus is not lost at each step of a progress.
        val old = before?.card ?: before?.trouble
        if (old?.actions == open.actions && actions.childCount == open.actions.size) return
        actions.removeAllViews()
        open.actions.forEachIndexed { index, action ->
            val button = LayoutInflater.from(activity).inflate(R.layout.action, actions, false) as Button
            button.setText(Words.action(action))
            if (index > 0 || action == Action.CANCEL) {
                button.setBackgroundResource(R.drawable.button_quiet)
                button.setTextColor(activity.getColor(R.color.accent))
            }
            button.setOnClickListener { act(action) }
            actions.addView(button)
        }
    }

    private fun fill(id: Int, text: String) {
        val view = activity.findViewById(id) as TextView
        view.text = text
        show(view, text.isNotEmpty())
    }

    private fun show(view: View, visible: Boolean) {
        view.visibility = if (visible) View.VISIBLE else View.GONE
    }

    /** From Android 15 on the window reaches below the bars and the keyboard: the content keeps out of them. */
    @Suppress("DEPRECATION") // its successor came with API 30
    private fun edges() {
        (activity.findViewById(R.id.root) as View).setOnApplyWindowInsetsListener { view, insets: WindowInsets ->
            view.setPadding(
                insets.systemWindowInsetLeft,
                insets.systemWindowInsetTop,
                insets.systemWindowInsetRight,
                insets.systemWindowInsetBottom,
            )
            insets.consumeSystemWindowInsets()
        }
    }

    private companion object {
        const val STEPS = 1000
    }
}
