package dev.gemmabridge.core

/**
 * A picture as the engine is given it: turned upright, small, without transparency; as PNG, or where the app cuts pictures
 * for the engine as the [Pixels] that the model looks at.
 *
 * @property path of the file; it stays as long as a conversation has the picture in it.
 * @property thumbnail path of a smaller one for the screen.
 * @property size of what the user chose, upright.
 */
data class Picture(val path: String, val thumbnail: String, val size: Extent)

/** Why a picture cannot be taken. */
enum class PictureTrouble {
    /** Whoever offers it gives no bytes of it. */
    GONE,

    /** No picture, of a kind that the phone cannot decode, or damaged. */
    UNREADABLE,

    /** The file ends before the picture does. */
    CUT_OFF,

    /** More bytes or pixels than any camera's. */
    TOO_LARGE,

    /** More memory than is free. */
    MEMORY,

    /** No room to keep a copy. */
    SPACE,
}

/** A picture that cannot be taken; nothing of it is kept. */
class PictureException(val trouble: PictureTrouble, cause: Throwable? = null) : Exception(trouble.name, cause)
