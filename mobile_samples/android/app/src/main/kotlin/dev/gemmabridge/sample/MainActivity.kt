package dev.gemmabridge.sample

import android.app.Activity
import android.app.AlertDialog
import android.content.ActivityNotFoundException
import android.content.ClipData
import android.content.Intent
import android.content.pm.PackageManager
import android.os.Bundle
import android.provider.MediaStore
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
        (findViewById(R.id.add_picture) as View).setOnClickListener { addPicture() }
        (findViewById(R.id.detach) as View).setOnClickListener { app.presenter.detach() }
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
        if (result != RESULT_OK) return
        // The application's context: this activity may be gone when the stream is opened.
        val here = applicationContext
        if (request == PHOTO) return app.presenter.attach { Shots.open(here) }
        val chosen = data?.data ?: return
        when (request) {
            PICK -> app.presenter.import { here.contentResolver.openInputStream(chosen) }
            PICTURE -> app.presenter.attach { here.contentResolver.openInputStream(chosen) }
        }
    }

    /** From the gallery or, where there is a camera, from that. */
    private fun addPicture() {
        if (!packageManager.hasSystemFeature(PackageManager.FEATURE_CAMERA_ANY)) return choosePicture()
        val ways = arrayOf<CharSequence>(getString(R.string.choose_picture), getString(R.string.take_photo))
        AlertDialog.Builder(this)
            .setTitle(R.string.add_picture)
            .setItems(ways) { _, way -> if (way == 0) choosePicture() else takePhoto() }
            .show()
    }

    /** The system's photo picker (Android 13, and older with its update) asks for no permission; nor do documents. */
    private fun choosePicture() {
        val document = Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType(IMAGES)
        if (!ask(Intent(PICK_IMAGES).setType(IMAGES), PICTURE) && !ask(document, PICTURE)) app.presenter.attach { null }
    }

    private fun takePhoto() {
        val photo = Intent(MediaStore.ACTION_IMAGE_CAPTURE).putExtra(MediaStore.EXTRA_OUTPUT, Shots.URI)
        photo.clipData = ClipData.newRawUri(null, Shots.URI)
        photo.addFlags(Intent.FLAG_GRANT_READ_URI_PERMISSION or Intent.FLAG_GRANT_WRITE_URI_PERMISSION)
        if (!ask(photo, PHOTO)) app.presenter.attach { null }
    }

    /** Whether there is an app for it. */
    private fun ask(intent: Intent, request: Int): Boolean = try {
        startActivityForResult(intent, request)
        true
    } catch (error: ActivityNotFoundException) {
        false
    }

    private fun act(action: Action) {
        if (action != Action.IMPORT) return app.presenter.act(action)
        val pick = Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("*/*")
        ask(pick, PICK) // a device without a file picker has the download and adb
    }

    private fun sendOrStop() {
        if (app.presenter.screen.answering) return app.presenter.stop()
        if (app.presenter.screen.readsPicture) return
        val text = drawing.message.text.toString().trim()
        if (text.isEmpty() && app.presenter.screen.picture == null) return
        drawing.message.setText("")
        app.presenter.send(text)
    }

    private companion object {
        const val PICK = 1
        const val PICTURE = 2
        const val PHOTO = 3
        const val IMAGES = "image/*"

        /** `MediaStore.ACTION_PICK_IMAGES`, newer than the interface that this is compiled against. */
        const val PICK_IMAGES = "android.provider.action.PICK_IMAGES"
        const val SELF_TEST = "dev.gemmabridge.sample.SELF_TEST"
    }
}
