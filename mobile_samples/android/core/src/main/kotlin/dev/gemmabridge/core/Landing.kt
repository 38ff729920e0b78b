package dev.gemmabridge.core

import java.io.File
import java.io.FileOutputStream
import java.io.IOException

/**
 * Where a model file is put together: bytes gather in a `.part` beside the [target], and only a whole and right file
 * gets the target's name. So the target is right or absent.
 *
 * The part's name holds the SHA-256 that is wanted: the part of another version is not gone on with, it is deleted.
 */
internal class Landing(val target: File, val want: BundleFile, private val space: FreeSpace) {
    private val folder: File = target.absoluteFile.parentFile
    val part = File(folder, "${target.name}.${want.sha256.substring(0, 16)}$SUFFIX")

    /**
     * Makes room for the file.
     *
     * @return whether the right file is there already. A wrong one is deleted.
     */
    fun prepare(progress: Progress, cancel: Cancel): Boolean {
        if (!folder.isDirectory && !folder.mkdirs()) storage("The folder ${folder.name} cannot be made.", null)
        val others = folder.listFiles { file -> file.name.startsWith(target.name + ".") && file.name.endsWith(SUFFIX) }
        others?.filter { it != part }?.forEach { it.delete() }
        if (target.exists()) {
            if (isRight(target, progress, cancel)) {
                part.delete()
                return true
            }
            if (!target.delete()) storage("A damaged ${target.name} cannot be deleted.", null)
        }
        if (part.length() > want.bytes) part.delete()
        checkSpace()
        return false
    }

    fun checkSpace() {
        val need = want.bytes - part.length() + RESERVE
        val free = space.bytes(folder)
        if (free < need) {
            val message = "${Size.of(need)} of free storage are needed, ${Size.of(free)} are free."
            throw TransferException(Trouble.NO_SPACE, message)
        }
    }

    /** Opens the part to go on at its end, or from nothing. */
    fun open(append: Boolean): FileOutputStream = try {
        FileOutputStream(part, append)
    } catch (error: IOException) {
        storage("${part.name} cannot be written.", error)
    }

    fun write(stream: FileOutputStream, buffer: ByteArray, count: Int) {
        try {
            stream.write(buffer, 0, count)
        } catch (error: IOException) {
            if (space.bytes(folder) < count) {
                throw TransferException(Trouble.NO_SPACE, "The storage is full.", error)
            }
            storage("Writing to the storage failed.", error)
        }
    }

    /** Checks the whole part and gives it its name; a wrong one is deleted. */
    fun finish(progress: Progress, cancel: Cancel) {
        if (!isRight(part, progress, cancel)) {
            refuse("The file is not the model: it has another SHA-256 than the manifest says.")
        }
        if (!part.renameTo(target)) storage("${part.name} cannot be renamed.", null)
    }

    /** Deletes what came and says why. */
    fun refuse(message: String): Nothing {
        part.delete()
        throw TransferException(Trouble.WRONG_FILE, message)
    }

    private fun isRight(file: File, progress: Progress, cancel: Cancel): Boolean {
        if (file.length() != want.bytes) return false
        val found = try {
            // From the storage and not from what was received: so the storage is checked as well.
            Digest.sha256(file) {
                cancel.check()
                progress.onProgress(Phase.CHECK, it, want.bytes)
            }
        } catch (error: IOException) {
            storage("${file.name} cannot be read.", error)
        }
        return found == want.sha256
    }

    private fun storage(message: String, cause: IOException?): Nothing =
        throw TransferException(Trouble.STORAGE, message, cause)

    /** Bytes on the disk, really. */
    fun sync(stream: FileOutputStream) {
        try {
            stream.fd.sync()
        } catch (error: IOException) {
            storage("Writing to the storage failed.", error)
        }
    }

    companion object {
        const val SUFFIX = ".part"

        /** Bytes that stay free: a full disk makes everything else on the phone fail. */
        const val RESERVE = 32L * 1024 * 1024
    }
}
