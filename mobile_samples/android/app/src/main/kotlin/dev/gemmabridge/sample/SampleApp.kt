package dev.gemmabridge.sample

import android.app.Application
import android.os.Handler
import android.os.Looper

/** Keeps the loaded model for as long as the process lives: turning the phone does not load it again. */
class SampleApp : Application() {
    private val main = Handler(Looper.getMainLooper())
    private var listener: ((Screen) -> Unit)? = null

    lateinit var presenter: Presenter
        private set

    override fun onCreate() {
        super.onCreate()
        presenter = Presenter(Phone(this), { Engines.factory(this, it) }, getString(R.string.model_url)) { screen ->
            main.post { listener?.invoke(screen) }
        }
        presenter.start()
    }

    /** Sends the present screen and all that follow, on the main thread; null ends that. */
    fun listen(next: ((Screen) -> Unit)?) {
        listener = next
        next?.invoke(presenter.screen)
    }
}
