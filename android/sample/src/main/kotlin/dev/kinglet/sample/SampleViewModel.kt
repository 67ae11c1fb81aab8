package dev.kinglet.sample

import android.app.Application
import androidx.lifecycle.AndroidViewModel
import androidx.lifecycle.viewModelScope
import dev.kinglet.KingletGovernor
import dev.kinglet.KingletModel
import dev.kinglet.ModelInfo
import dev.kinglet.OpenOptions
import dev.kinglet.openAsset
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.launch

/**
 * State of the model screen.
 *
 * @property info description of the model, once it is open.
 * @property openMillis milliseconds that opening took.
 * @property replyMillis milliseconds that the last suggestions took.
 * @property problem why there is no model, as a sentence.
 */
data class ModelState(
    val info: ModelInfo? = null,
    val openMillis: Long? = null,
    val replyMillis: Long? = null,
    val problem: String? = null,
)

/** Holds the model for as long as the screens are needed. */
class SampleViewModel(application: Application) : AndroidViewModel(application) {
    private val opened = CompletableDeferred<KingletModel>()
    private var governor: KingletGovernor? = null
    private val mutable = MutableStateFlow(ModelState())

    /** State of the model screen. */
    val model: StateFlow<ModelState> = mutable.asStateFlow()

    /** Conversation of the messaging screen. Leaving the screens ends its search for replies. */
    val chat = Chat(viewModelScope) { turns ->
        val began = System.nanoTime()
        opened.await().smartReplies(turns).also { took -> mutable.value = mutable.value.copy(replyMillis = millis(began)) }
    }

    init {
        viewModelScope.launch {
            val began = System.nanoTime()
            try {
                val model = KingletModel.openAsset(application, "models/goldcrest", OpenOptions(context = 512, maxSequences = 8))
                mutable.value = ModelState(model.info(), millis(began))
                governor = KingletGovernor(application, model)
                opened.complete(model)
            } catch (error: dev.kinglet.KingletException) {
                mutable.value = ModelState(problem = error.message)
                opened.completeExceptionally(error)
            }
        }
    }

    @OptIn(kotlinx.coroutines.ExperimentalCoroutinesApi::class)
    override fun onCleared() {
        governor?.close()
        if (opened.isCompleted && opened.getCompletionExceptionOrNull() == null) opened.getCompleted().close()
    }

    private fun millis(began: Long) = (System.nanoTime() - began) / 1_000_000
}
