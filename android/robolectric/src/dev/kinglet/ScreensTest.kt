package dev.kinglet

import android.graphics.Bitmap
import android.graphics.Canvas
import android.view.View
import androidx.activity.ComponentActivity
import androidx.activity.compose.setContent
import androidx.compose.runtime.Composable
import dev.kinglet.sample.ChatState
import dev.kinglet.sample.ModelScreen
import dev.kinglet.sample.ModelState
import dev.kinglet.sample.SampleTheme
import dev.kinglet.sample.Screens
import java.io.File
import kotlin.system.measureTimeMillis
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode

/** The sample's screens, drawn to pictures. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34], qualifiers = "w400dp-h720dp-xhdpi")
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class ScreensTest {
    private val goldcrest = File(System.getProperty("kinglet.models"), "goldcrest")
    private val turns =
        listOf(
            Turn(Speaker.CUSTOMER, "Hi, I would like to book a table for tonight."),
            Turn(Speaker.AGENT, "With pleasure. For how many people?"),
            Turn(Speaker.CUSTOMER, "Four, please."),
        )

    /** The conversation with what the shipped model suggests, and how long that took. */
    private val suggested by lazy {
        runBlocking {
            val model: KingletModel
            val opened = measureTimeMillis { model = KingletModel.open(goldcrest) }
            model.use {
                val replies: List<Reply>
                val answered = measureTimeMillis { replies = (it.smartReplies(turns) as SmartReplies.Suggested).replies }
                Triple(ChatState(turns, Speaker.AGENT, replies), opened, answered)
            }
        }
    }

    private fun draw(name: String, content: @Composable () -> Unit): Bitmap {
        val activity = Robolectric.buildActivity(ComponentActivity::class.java).setup().get()
        activity.setContent { SampleTheme { content() } }
        shadowOf(android.os.Looper.getMainLooper()).idle()
        val view = activity.window.decorView
        val exactly = { size: Int -> View.MeasureSpec.makeMeasureSpec(size, View.MeasureSpec.EXACTLY) }
        view.measure(exactly(800), exactly(1440))
        view.layout(0, 0, 800, 1440)
        shadowOf(android.os.Looper.getMainLooper()).idle()
        val picture = Bitmap.createBitmap(800, 1440, Bitmap.Config.ARGB_8888)
        view.draw(Canvas(picture))
        val file = File(System.getProperty("kinglet.pictures"), "$name.png")
        file.parentFile?.mkdirs()
        file.outputStream().use { picture.compress(Bitmap.CompressFormat.PNG, 100, it) }
        return picture
    }

    private fun colours(picture: Bitmap): Int {
        val pixels = IntArray(picture.width * picture.height)
        picture.getPixels(pixels, 0, picture.width, 0, 0, picture.width, picture.height)
        return pixels.distinct().size
    }

    @Test
    fun theMessagesAreDrawnByDay() = assertTrue(colours(draw("messages") { Screens(suggested.first, {}, ModelState()) }) > 20)

    @Test
    @Config(qualifiers = "w400dp-h720dp-night-xhdpi")
    fun theMessagesAreDrawnByNight() = assertTrue(colours(draw("messages-night") { Screens(suggested.first, {}, ModelState()) }) > 20)

    @Test
    fun theModelIsDrawn() {
        val info = runBlocking { KingletModel.inspect(goldcrest) }
        val state = ModelState(info, suggested.second, suggested.third)
        assertTrue(colours(draw("model") { ModelScreen(state) }) > 20)
    }
}
