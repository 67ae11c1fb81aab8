package dev.kinglet

import android.content.Context
import android.content.res.AssetManager
import android.os.ParcelFileDescriptor
import android.util.Log
import dev.kinglet.ffi.FileRange
import java.io.File
import java.io.FileNotFoundException
import java.io.IOException
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.withContext

/**
 * Opens a model that ships with the app, in the folder [path] of its assets. Weights are mapped from the APK, and nothing of them is
 * copied, if they are stored without compression: `androidResources { noCompress += listOf("onnx", "data") }` in Gradle's `android`
 * block. The small files are copied to `Context.noBackupFilesDir` once for each version of the app.
 *
 * @param path such as `models/goldcrest`.
 * @param dispatcher where blocking work runs.
 * @throws KingletException.NotFound where the assets hold no such folder
 * @throws KingletException.Storage where there is no room for the small files
 * @throws KingletException as [KingletModel.open]
 */
public suspend fun KingletModel.Companion.openAsset(
    context: Context,
    path: String,
    options: OpenOptions = OpenOptions(),
    dispatcher: CoroutineDispatcher = Dispatchers.IO,
): KingletModel = withContext(dispatcher) {
    val names = files(context.assets, path)
    if (names.isEmpty()) throw KingletException.NotFound("the assets hold no folder `$path`; put the model's files there", null)
    val folder = copies(context, path)
    val stored = names.filter { ".onnx" in it }.mapNotNull { name -> stored(context.assets, "$path/$name")?.let { name to it } }
    try {
        for (name in names) File(folder, name).parentFile?.mkdirs()
        for (name in names - stored.map { it.first }.toSet()) copy(context.assets, "$path/$name", File(folder, name))
        val files = stored.map { (name, at) -> FileRange(name, at.parcelFileDescriptor.fd, at.startOffset.toULong(), at.length.toULong()) }
        open(folder, files, options, dispatcher)
    } finally {
        stored.forEach { it.second.close() }
    }
}

/**
 * Opens a model some of whose files the system or another app has handed over as descriptors, such as those of the storage access
 * framework. They are mapped, and may be closed afterwards.
 *
 * @param folder holds the small files: configuration and tokenizer.
 * @param files the graph, or what it names as its weights, by name, such as `model.onnx.data`.
 * @param dispatcher where blocking work runs.
 * @throws KingletException as [KingletModel.open]
 */
public suspend fun KingletModel.Companion.openDescriptors(
    folder: File,
    files: Map<String, ParcelFileDescriptor>,
    options: OpenOptions = OpenOptions(),
    dispatcher: CoroutineDispatcher = Dispatchers.IO,
): KingletModel = open(folder, files.map { (name, file) -> FileRange(name, file.fd, 0u, file.statSize.toULong()) }, options, dispatcher)

/** The files below a folder of the assets, by their names in it. */
private fun files(assets: AssetManager, folder: String): List<String> =
    assets.list(folder).orEmpty().flatMap { name ->
        files(assets, "$folder/$name").map { "$name/$it" }.ifEmpty { listOf(name) }
    }

/** Where an asset lies in the APK; `null` where it is compressed, and has to be copied. */
private fun stored(assets: AssetManager, path: String) =
    try {
        assets.openFd(path)
    } catch (_: FileNotFoundException) {
        Log.w("kinglet", "the asset $path is compressed and is copied; name its ending in `noCompress`, and it is mapped")
        null
    }

/** The folder for this version's copies of a model's files; those of other versions go. */
private fun copies(context: Context, path: String): File {
    val all = File(context.noBackupFilesDir, "kinglet/${path.replace('/', '-')}")
    val updated = context.packageManager.getPackageInfo(context.packageName, 0).lastUpdateTime
    val folder = File(all, updated.toString())
    all.listFiles()?.filter { it != folder }?.forEach { it.deleteRecursively() }
    return folder
}

/** Copies an asset unless that was done: beside, then renamed, so that no half of a file is ever taken for one. */
private fun copy(assets: AssetManager, path: String, to: File) {
    if (to.exists()) return
    try {
        val beside = File.createTempFile(to.name, ".part", to.parentFile)
        try {
            assets.open(path).use { from -> beside.outputStream().use { from.copyTo(it) } }
            if (!beside.renameTo(to)) throw IOException("it cannot be renamed")
        } finally {
            beside.delete()
        }
    } catch (error: IOException) {
        throw KingletException.Storage("`$to` cannot be written (${error.message}); make room and open the model again", error)
    }
}
