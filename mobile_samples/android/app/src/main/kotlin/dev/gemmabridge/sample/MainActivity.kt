package dev.gemmabridge.sample

import android.app.Activity
import android.content.ActivityNotFoundException
import android.content.Intent
import android.os.Bundle
import android.view.View
import android.view.inputmethod.EditorInfo

/** The only screen. */
class MainActivity : Activity() {
    private lateinit var drawing: Drawing
    private val app: SampleApp
        get() = application as SampleApp

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        setContentView(R.layout.main)
        drawing = Drawing(this, ::act)
        (findViewById(R.id.send) as View).setOnClickListener { sendOrStop() }
        (findViewById(R.id.new_chat) as View).setOnClickListener { app.presenter.newChat() }
        drawing.faster.setOnClickListener { app.presenter.faster(drawing.faster.isChecked) }
        drawing.message.setOnEditorActionListener { _, action, _ ->
            if (action == EditorInfo.IME_ACTION_SEND) sendOrStop()
            action == EditorInfo.IME_ACTION_SEND
        }
        // The app tests itself whenever it loads the model; asked for over adb, it does so anew.
        if (state == null && intent.action == SELF_TEST) app.presenter.start()
    }

    override fun onNewIntent(intent: Intent) {
        super.onNewIntent(intent)
        if (intent.action == SELF_TEST) app.presenter.start()
    }

    override fun onStart() {
        super.onStart()
        app.listen { drawing.draw(it) }
    }

    override fun onStop() {
        app.listen(null)
        super.onStop()
    }

    override fun onActivityResult(request: Int, result: Int, data: Intent?) {
        val chosen = data?.data
        if (request == PICK && result == RESULT_OK && chosen != null) {
            app.presenter.import { contentResolver.openInputStream(chosen) }
        }
    }

    private fun act(action: Action) {
        if (action != Action.IMPORT) return app.presenter.act(action)
        val pick = Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("*/*")
        try {
            startActivityForResult(pick, PICK)
        } catch (error: ActivityNotFoundException) {
            // A device without a file picker; the download and adb remain.
        }
    }

    private fun sendOrStop() {
        if (app.presenter.screen.answering) return app.presenter.stop()
        val text = drawing.message.text.toString().trim()
        if (text.isEmpty()) return
        drawing.message.setText("")
        app.presenter.send(text)
    }

    private companion object {
        const val PICK = 1
        const val SELF_TEST = "dev.gemmabridge.sample.SELF_TEST"
    }
}
