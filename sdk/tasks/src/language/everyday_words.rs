//! Everyday words by which a short message shows its language.
//!
//! English has its commonest words and those of chats. The other languages have words that are no English words, names
//! or dishes, so that `no`, `die`, `pour` or `casa` in an English message speak for nothing. Apostrophes are taken out.

use std::collections::HashMap;
use std::sync::LazyLock;
use whatlang::Lang;

/// Whether `word` is an everyday word of `lang`.
pub(super) fn is_everyday(lang: Lang, word: &str) -> bool {
    static LANGUAGES: LazyLock<HashMap<&str, Vec<Lang>>> = LazyLock::new(|| {
        let mut languages: HashMap<_, Vec<Lang>> = HashMap::new();
        for (lang, words) in EVERYDAY_WORDS {
            words.split_whitespace().for_each(|word| languages.entry(word).or_default().push(*lang));
        }
        languages
    });
    LANGUAGES.get(word).is_some_and(|languages| languages.contains(&lang))
}

/// The language whose greeting or thanks `word` is, and which names itself even where the word is the whole message.
pub(super) fn greeting(word: &str) -> Option<Lang> {
    GREETINGS.iter().find(|(_, words)| words.split(' ').any(|w| w == word)).map(|(lang, _)| *lang)
}

/// The languages that everyday words are known of.
pub(super) fn languages() -> impl Iterator<Item = Lang> {
    EVERYDAY_WORDS.iter().map(|(lang, _)| *lang)
}

const GREETINGS: &[(Lang, &str)] = &[
    (Lang::Spa, "hola gracias adi\u{f3}s buenas perd\u{f3}n s\u{ed}"),
    (Lang::Fra, "bonjour bonsoir salut merci daccord"),
    (Lang::Deu, "hallo danke dankesch\u{f6}n bitte tsch\u{fc}ss nein"),
    (Lang::Por, "ol\u{e1} obrigado obrigada"),
    (Lang::Ita, "ciao buongiorno buonasera grazie prego"),
    (Lang::Nld, "dankje dankjewel bedankt goedemorgen"),
    (Lang::Swe, "hej tack"),
    (Lang::Pol, "cze\u{15b}\u{107} dzi\u{119}kuj\u{119}"),
    (Lang::Tur, "merhaba te\u{15f}ekk\u{fc}rler"),
];

/// A language and its words, separated by white space.
const EVERYDAY_WORDS: &[(Lang, &str)] = &[
    (Lang::Eng, ENGLISH),
    (Lang::Spa, SPANISH),
    (Lang::Fra, FRENCH),
    (Lang::Deu, GERMAN),
    (Lang::Por, PORTUGUESE),
    (Lang::Ita, ITALIAN),
    (Lang::Nld, DUTCH),
    (Lang::Swe, SWEDISH),
    (Lang::Pol, POLISH),
    (Lang::Tur, TURKISH),
    (Lang::Ind, INDONESIAN),
];

const ENGLISH: &str = "the a an and or but of to in on at for from with by about as into out up down over under after before between \
    without i you he she it we they me him her us them my your his its our their mine yours this that these those there \
    here who what when where why how which is are was were be been being am do does did done doing have has had having \
    will would shall should can could may might must not no yes yeah yep nope nah sure thanks thank thx please sorry \
    hello hi hey bye goodbye good great nice cool fine well very really too so just only also still already again now \
    then today tomorrow yesterday tonight morning evening if because than more most some any all every each both many \
    much few lot lots one two three first last new old same other next get got go going gone come coming came want \
    wants need needs like likes love know knows knew think thought see saw look looks looking make made take took give \
    gave find found tell told say said ask asked help work works working call called try let put keep feel seems mean \
    hope guess wait sounds sound happy right wrong left back soon later never always maybe perhaps dont doesnt didnt \
    isnt arent wasnt cant couldnt wont wouldnt havent hasnt im ive id ill youre youve theyre thats whats lets idk btw \
    imo brb asap pls u ur r gonna wanna gotta kinda dude guys man people thing things something anything nothing time \
    day week year night way place home phone number money order book table food coffee water price cheap free open \
    closed long far big small bad best better congrats congratulations welcome perfect awesome wow oh yay correct \
    confirm cancel";

const SPANISH: &str = "el los las una unos unas del que qu\u{e9} y pero porque cuando donde d\u{f3}nde c\u{f3}mo cu\u{e1}ndo cu\u{e1}nto \
    cuanto cuesta qui\u{e9}n yo t\u{fa} \u{e9}l ella ellos nosotros usted ustedes mi mis tu tus su sus esto esta este \
    ese eso esa est\u{e1} est\u{e1}n estoy estamos estas soy eres somos son ser hay tengo tienes tiene tenemos quiero \
    quieres quiere puedo puedes puede necesito necesita gusta gustar\u{ed}a voy vas vamos hacer hace hago muy m\u{e1}s \
    mas tambi\u{e9}n tampoco siempre nunca ahora hoy ma\u{f1}ana ayer aqu\u{ed} all\u{ed} ya para por con sin sobre \
    hasta desde hola buenos buenas d\u{ed}as dias tardes noches gracias muchas mucho favor perd\u{f3}n claro vale bueno \
    bien s\u{ed} nada adi\u{f3}s ayuda pedido mesa cuenta dinero tarjeta cita";

const FRENCH: &str = "le les des du une et est sont suis \u{ea}tre avoir ai avez avons ont je nous vous ils elles moi toi mon ma mes ton \
    tes sa ses notre votre leur ce cet cette ces qui que quoi quand o\u{f9} combien pourquoi avec sans dans chez vers \
    mais donc alors aussi tr\u{e8}s trop bien pas ne jamais toujours maintenant aujourdhui demain hier ici l\u{e0} \
    bonjour bonsoir salut merci beaucoup sil pla\u{ee}t plait oui non daccord bonne bon revoir jai jaimerais jaime \
    voudrais peux pouvez peut veux voulez faut faire cest nest quest commande rendez heures aider aide probl\u{e8}me \
    compte carte aucun";

const GERMAN: &str = "der das dem den des ein eine einen einem einer und oder aber nicht kein keine ist sind bin bist sein haben habe \
    hast hatte wird werden wurde kann kannst k\u{f6}nnen k\u{f6}nnte m\u{f6}chte m\u{f6}chten muss m\u{fc}ssen soll \
    sollte ich du er sie wir ihr mich mir dich dir uns euch ihnen ihre mein meine meinen dein deine unser auf aus bei \
    mit nach von zu zum zur f\u{fc}r \u{fc}ber unter vor ohne wie wo wann warum wer welche wieviel hallo guten tag \
    morgen abend danke sch\u{f6}n bitte ja nein gut sehr auch noch schon immer nie heute gestern jetzt hier dort vielen \
    dank tsch\u{fc}ss tschuss wiedersehen brauche brauchen hilfe gerne kostet geht bestellung rechnung uhr";

const PORTUGUESE: &str = "uma uns umas dos das na nos nas em pelo pela que e mas porque quando onde como quanto quem eu voc\u{ea} voc\u{ea}s \
    ele n\u{f3}s meu minha seu sua isso isto este esta est\u{e1} est\u{e3}o estou somos s\u{e3}o \u{e9} tem tenho temos \
    quero quer posso pode preciso gostaria vou vamos fazer muito mais tamb\u{e9}m sempre nunca agora hoje amanh\u{e3} \
    ontem aqui ali j\u{e1} com sem sobre at\u{e9} ol\u{e1} oi bom boa dia tarde noite obrigado obrigada favor desculpe \
    n\u{e3}o sim tudo bem tchau ajuda pedido conta cart\u{e3}o consulta";

const ITALIAN: &str = "il gli dei delle della dello nel nella sul sulla che e ma perch\u{e9} quando dove quanto chi tu lui lei noi voi \
    loro mio mia tuo tua suo sua questo questa quello quella sono sei siamo siete essere avere hai abbiamo hanno voglio \
    vuoi vuole vorrei posso puoi pu\u{f2} devo deve fare molto pi\u{f9} anche sempre mai adesso ora oggi domani ieri \
    qui l\u{ec} con senza per fino ciao buongiorno buonasera salve grazie mille prego scusi scusa s\u{ec} bene va tutto \
    arrivederci aiuto bisogno ordine tavolo conto";

const DUTCH: &str = "het een en niet geen ik jij je hij zij wij jullie mijn jouw zijn haar ons onze dit dat deze wat wie waar wanneer \
    waarom hoe heb hebt heeft hebben ben bent kan kunt kunnen wil wilt willen moet moeten zou graag naar met voor van \
    bij uit ook nog al altijd nooit nu vandaag morgen gisteren hier daar hallo goedemorgen goedendag dank dankje \
    bedankt alsjeblieft alstublieft nee goed heel veel doei hulp nodig bestelling rekening";

const SWEDISH: &str = "och \u{e4}r inte jag du han hon vi ni de min din ett en den det att som p\u{e5} med f\u{f6}r av till fr\u{e5}n om \
    kan vill skulle ska har hade vad var n\u{e4}r hur varf\u{f6}r hej tack ja nej bra mycket ocks\u{e5} nu idag imorgon \
    h\u{e4}r d\u{e4}r beh\u{f6}ver hj\u{e4}lp boka bord sn\u{e4}lla";

const POLISH: &str = "jest s\u{105} nie tak w na z si\u{119} \u{17c}e jak gdzie kiedy dlaczego kto ona wy m\u{f3}j moja mam masz ma \
    mo\u{17c}esz mog\u{119} chc\u{119} chcia\u{142}bym prosz\u{119} dzi\u{119}kuj\u{119} dzieki dzi\u{119}ki \
    cze\u{15b}\u{107} dzie\u{144} dobry dobrze bardzo te\u{17c} ju\u{17c} jeszcze dzisiaj jutro tutaj potrzebuj\u{119} \
    pomocy";

const TURKISH: &str = "ve bir bu \u{15f}u ben sen biz siz onlar de\u{11f}il var yok m\u{131} mi i\u{e7}in ile ama \u{e7}ok daha \
    \u{15f}imdi bug\u{fc}n yar\u{131}n d\u{fc}n nas\u{131}l ne nerede zaman neden kim merhaba selam \
    te\u{15f}ekk\u{fc}rler te\u{15f}ekk\u{fc}r ederim l\u{fc}tfen evet hay\u{131}r tamam iyi g\u{fc}nayd\u{131}n \
    istiyorum yard\u{131}m";

const INDONESIAN: &str = "yang dan di ke dari untuk dengan tidak bukan ini itu saya anda kamu dia kami kita mereka ada apa siapa kapan dimana \
    mengapa bagaimana berapa bisa mau ingin sudah belum akan sangat juga sekarang hari besok kemarin terima kasih \
    tolong selamat pagi siang malam halo iya baik bantuan meja pesan";

#[cfg(test)]
mod tests {
    use super::*;

    /// One word of another language that is English too would count against English messages.
    #[test]
    fn languages_other_than_english_share_no_word_with_it() {
        let english: Vec<&str> = ENGLISH.split_whitespace().collect();
        let shared: Vec<_> =
            EVERYDAY_WORDS[1..].iter().flat_map(|(_, words)| words.split_whitespace()).filter(|w| english.contains(w)).collect();
        assert!(shared.is_empty(), "{shared:?}");
    }
}
