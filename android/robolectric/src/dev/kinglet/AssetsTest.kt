package dev.kinglet

import android.os.ParcelFileDescriptor
import java.io.File
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config

/** The shipped model, out of the package of the sample and out of descriptors. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34])
class AssetsTest {
    private val context get() = RuntimeEnvironment.getApplication()
    private val goldcrest = File(System.getProperty("kinglet.models"), "goldcrest")
    private val talk = listOf(Turn(Speaker.CUSTOMER, "Do you want to grab lunch tomorrow?"))

    private suspend fun KingletModel.replies() = (smartReplies(talk) as SmartReplies.Suggested).replies

    @Test
    fun aModelIsOpenedFromTheAssets() = runBlocking<Unit> {
        val expected = KingletModel.open(goldcrest).use { it.replies() }
        // Twice: with the copies of small files to be made, and made.
        repeat(2) {
            assertEquals(expected, KingletModel.openAsset(context, "models/goldcrest").use { it.replies() })
        }
        val copies = context.noBackupFilesDir.walk().filter { it.isFile }.map { it.name }.toSet()
        assertTrue("$copies", "tokenizer.json" in copies)
        assertTrue("weights are mapped from where they lie: $copies", copies.none { ".onnx" in it })
    }

    @Test
    fun anAbsentAssetIsSaid() {
        val error =
            assertThrows(KingletException.NotFound::class.java) {
                runBlocking { KingletModel.openAsset(context, "models/nothing") }
            }
        assertTrue(error.message, "models/nothing" in error.message.orEmpty())
    }

    @Test
    fun aModelIsOpenedFromDescriptors() = runBlocking<Unit> {
        val folder = File(context.filesDir, "small")
        folder.mkdirs()
        goldcrest.listFiles()!!.filter { ".onnx" !in it.name }.forEach { it.copyTo(File(folder, it.name), overwrite = true) }
        val files =
            listOf("model.onnx", "model.onnx.data").associateWith {
                ParcelFileDescriptor.open(File(goldcrest, it), ParcelFileDescriptor.MODE_READ_ONLY)
            }
        val model = KingletModel.openDescriptors(folder, files)
        files.values.forEach { it.close() }
        val expected = KingletModel.open(goldcrest).use { it.replies() }
        assertEquals(expected, model.use { it.replies() })
    }
}
