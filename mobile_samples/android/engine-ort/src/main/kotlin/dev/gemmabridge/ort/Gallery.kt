package dev.gemmabridge.ort

import dev.gemmabridge.core.Cutting
import dev.gemmabridge.core.EngineException
import dev.gemmabridge.core.Pixels
import dev.gemmabridge.core.Turn
import java.io.File

/**
 * A picture of a conversation.
 *
 * @property tokens that it becomes.
 */
internal class Shown(val tokens: Int, private var pixels: Pixels?, private val cutting: Cutting) {
    private var made: FloatArray? = null

    /** Its rows, made once. */
    fun rows(graphs: Graphs): FloatArray = made ?: graphs.see(cutting.cut(pixels!!), tokens).also {
        made = it
        pixels = null
    }
}

/** The pictures of a conversation, by their paths: each file is read once, and its rows are made once. One user at a time. */
internal class Gallery(private val graphs: Graphs) {
    private val known = HashMap<String, Shown>()

    /**
     * The pictures of turns, in their order.
     *
     * @throws EngineException the model takes none.
     * @throws dev.gemmabridge.core.RefusedException a file is no picture as this engine is given it.
     */
    fun of(turns: List<Turn>): List<Shown> = turns.flatMap { it.pictures }.map { path ->
        known.getOrPut(path) {
            val sight = graphs.sight ?: throw EngineException("this model takes no pictures")
            val pixels = Pixels.read(File(path))
            Shown(sight.images.count(pixels.size), pixels, sight.cutting)
        }
    }
}
