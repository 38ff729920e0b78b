package dev.gemmabridge.sample

import android.content.Context
import android.view.Gravity
import android.view.LayoutInflater
import android.view.View
import android.view.ViewGroup
import android.widget.BaseAdapter
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.TextView

/** The messages of a chat; the newest is at the bottom. */
internal class Bubbles(private val context: Context, private val thumbnails: Thumbnails) : BaseAdapter() {
    private var lines: List<Line> = emptyList()

    fun show(next: List<Line>) {
        if (next == lines) return
        lines = next
        notifyDataSetChanged()
    }

    override fun getCount(): Int = lines.size

    override fun getItem(position: Int): Any = lines[position]

    override fun getItemId(position: Int): Long = position.toLong()

    override fun hasStableIds(): Boolean = true

    override fun isEnabled(position: Int): Boolean = false

    override fun getView(position: Int, old: View?, parent: ViewGroup): View {
        val row = old ?: LayoutInflater.from(context).inflate(R.layout.bubble, parent, false)
        val line = lines[position]
        val bubble = row.findViewById(R.id.bubble) as TextView
        val note = row.findViewById(R.id.note) as TextView
        (row as LinearLayout).setGravity(if (line.mine) Gravity.END else Gravity.START)
        val picture = row.findViewById(R.id.picture) as ImageView
        picture.visibility = if (line.picture == null) View.GONE else View.VISIBLE
        picture.clipToOutline = true
        picture.setImageBitmap(line.picture?.let { thumbnails.of(it) })
        picture.contentDescription = line.picture?.let { Words.picture(context, it) }
        bubble.visibility = if (line.mine && line.text.isEmpty()) View.GONE else View.VISIBLE
        bubble.text = line.text.ifEmpty { context.getString(R.string.thinking_of_it) }
        bubble.contentDescription = context.getString(if (line.mine) R.string.you_said else R.string.model_said, line.text)
        bubble.setBackgroundResource(if (line.mine) R.drawable.bubble_user else R.drawable.bubble_model)
        bubble.setTextColor(context.getColor(if (line.mine) R.color.on_accent else R.color.ink))
        bubble.setTextIsSelectable(!line.mine)
        note.text = Words.note(context, line)
        note.visibility = if (note.text.isEmpty()) View.GONE else View.VISIBLE
        return row
    }
}
