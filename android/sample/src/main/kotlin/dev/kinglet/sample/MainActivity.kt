package dev.kinglet.sample

import android.os.Build
import android.os.Bundle
import androidx.activity.ComponentActivity
import androidx.activity.compose.setContent
import androidx.activity.enableEdgeToEdge
import androidx.activity.viewModels
import androidx.compose.foundation.isSystemInDarkTheme
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.safeDrawingPadding
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.PrimaryTabRow
import androidx.compose.material3.Surface
import androidx.compose.material3.Tab
import androidx.compose.material3.Text
import androidx.compose.material3.darkColorScheme
import androidx.compose.material3.dynamicDarkColorScheme
import androidx.compose.material3.dynamicLightColorScheme
import androidx.compose.material3.lightColorScheme
import androidx.compose.runtime.Composable
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableIntStateOf
import androidx.compose.runtime.saveable.rememberSaveable
import androidx.compose.runtime.setValue
import androidx.compose.ui.Modifier
import androidx.compose.ui.platform.LocalContext
import androidx.compose.ui.res.stringResource
import androidx.lifecycle.compose.collectAsStateWithLifecycle

/** Two screens: messages, and the model behind their suggestions. */
class MainActivity : ComponentActivity() {
    private val sample: SampleViewModel by viewModels()

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        enableEdgeToEdge()
        setContent {
            val chat by sample.chat.state.collectAsStateWithLifecycle()
            val model by sample.model.collectAsStateWithLifecycle()
            SampleTheme { Screens(chat, sample.chat::say, model) }
        }
    }
}

/** Both screens, under tabs. */
@Composable
fun Screens(chat: ChatState, say: (String) -> Unit, model: ModelState) {
    var tab by rememberSaveable { mutableIntStateOf(0) }
    Surface {
        Column(Modifier.safeDrawingPadding()) {
            PrimaryTabRow(tab) {
                listOf(R.string.messages, R.string.model).forEachIndexed { index, title ->
                    Tab(tab == index, { tab = index }, text = { Text(stringResource(title)) })
                }
            }
            if (tab == 0) MessagesScreen(chat, say) else ModelScreen(model)
        }
    }
}

/** The colours of the device where it has some, light or dark as it is set. */
@Composable
fun SampleTheme(content: @Composable () -> Unit) {
    val dark = isSystemInDarkTheme()
    val colours =
        when {
            Build.VERSION.SDK_INT >= Build.VERSION_CODES.S -> {
                val context = LocalContext.current
                if (dark) dynamicDarkColorScheme(context) else dynamicLightColorScheme(context)
            }
            dark -> darkColorScheme()
            else -> lightColorScheme()
        }
    MaterialTheme(colours, content = content)
}
