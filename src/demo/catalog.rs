//! The data of the demo: people, goods and addresses.

use serde::Serialize;

/// A customer as the shop is asked to add one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Customer {
    pub(super) firstname: &'static str,
    pub(super) name: &'static str,
    pub(super) email: &'static str,
}

/// An item as the shop is asked to add one. The price is a text, so that no cent is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Item {
    pub(super) name: &'static str,
    pub(super) price: &'static str,
}

/// A home. The number of the house takes the place of the `#`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) street: &'static str,
    pub(super) zip: &'static str,
    pub(super) city: &'static str,
}

const fn customer(firstname: &'static str, name: &'static str, email: &'static str) -> Customer {
    Customer {
        firstname,
        name,
        email,
    }
}

const fn item(name: &'static str, price: &'static str) -> Item {
    Item { name, price }
}

const fn place(street: &'static str, zip: &'static str, city: &'static str) -> Place {
    Place { street, zip, city }
}

/// Realistic names: with accents, apostrophes, spaces, and in other scripts.
pub(super) const CUSTOMERS: &[Customer] = &[
    customer("Maeve", "O'Brien", "maeve.obrien@example.com"),
    customer("Jürgen", "Müller", "juergen.mueller@example.com"),
    customer("José", "García Márquez", "jose.garcia@example.com"),
    customer("花子", "山田", "hanako.yamada@example.com"),
    customer("太郎", "日本", "taro.nihon@example.com"),
    customer("Zoë", "van den Berg", "zoe.vandenberg@example.com"),
    customer("Łukasz", "Wiśniewski", "lukasz.wisniewski@example.com"),
    customer("François", "L'Écuyer", "francois.lecuyer@example.com"),
    customer("Søren", "Kjær", "soren.kjaer@example.com"),
    customer("Åsa", "Öberg", "asa.oberg@example.com"),
    customer("Nguyễn", "Thị Hương", "huong.nguyen@example.com"),
    customer("Олена", "Шевченко", "olena.shevchenko@example.com"),
    customer("Ελένη", "Παπαδοπούλου", "eleni.papadopoulou@example.com"),
    customer("أمينة", "الحسن", "amina.alhassan@example.com"),
    customer("נועה", "כהן", "noa.cohen@example.com"),
    customer("민준", "김", "minjun.kim@example.com"),
    customer("小明", "王", "xiaoming.wang@example.com"),
    customer("प्रिया", "शर्मा", "priya.sharma@example.com"),
    customer("Siobhán", "Ní Dhomhnaill", "siobhan@example.com"),
    customer("Šárka", "Nováková", "sarka.novakova@example.com"),
    customer("István", "Nagy", "istvan.nagy@example.com"),
    customer("Jón", "Þórsson", "jon.thorsson@example.com"),
    customer("João", "Gonçalves", "joao.goncalves@example.com"),
    customer("İbrahim", "Yılmaz", "ibrahim.yilmaz@example.com"),
    customer("Ștefan", "Țurcanu", "stefan.turcanu@example.com"),
    customer("Chidi", "Okonkwo", "chidi.okonkwo@example.com"),
    customer("Wanjirũ", "Kamau", "wanjiru.kamau@example.com"),
    customer("Ana-Lucía", "Pérez Núñez", "ana-lucia.perez@example.com"),
    customer("Māra", "Bērziņa", "mara.berzina@example.com"),
    customer("Lê", "Văn Đức", "duc.le@example.com"),
    customer("Mary-Jane", "St. John-Smythe", "mj@example.com"),
    customer("Kōta", "Itō", "kota.ito@example.com"),
];

/// Goods of a shop that sells what a home needs.
pub(super) const ITEMS: &[Item] = &[
    item("Teapot, cast iron, 1 l", "49.90"),
    item("Espresso cups, set of 6", "27.50"),
    item("Bread knife", "34.00"),
    item("Cutting board, oak", "28.90"),
    item("Salt & pepper mill", "39.95"),
    item("Frying pan, 28 cm", "64.00"),
    item("Crème brûlée dishes, set of 4", "18.40"),
    item("Kitchen scale", "22.99"),
    item("Apron \u{201c}Chef\u{201d}", "16.50"),
    item("Tea towels, set of 3", "12.00"),
    item("Desk lamp", "79.00"),
    item("Notebook, A5, dotted", "6.80"),
    item("Fountain pen", "54.00"),
    item("Ink, 50 ml, blue-black", "8.95"),
    item("Paper clips, 100", "1.49"),
    item("Wool blanket, 150 × 200 cm", "89.00"),
    item("Linen cushion", "31.20"),
    item("Candle", "4.50"),
    item("Picture frame, 20 × 30 cm", "14.90"),
    item("Wall clock", "42.00"),
    item("Doormat", "19.90"),
    item("Umbrella", "25.00"),
    item("Bicycle bell", "9.80"),
    item("Tool box, 48 pieces", "119.00"),
    item("Cordless screwdriver", "69.99"),
    item("Screws 4 × 40, 200", "7.45"),
    item("Watering can, 5 l", "17.30"),
    item("Herb seeds, 6 kinds", "11.70"),
    item("Bookshelf, beech", "249.00"),
    item("Chair, beech", "139.00"),
    item("Dining table, beech", "649.00"),
    item("Gift wrapping", "0.00"),
];

/// Streets as they are written in that country.
pub(super) const PLACES: &[Place] = &[
    place("Krischerstr. #", "40789", "Monheim am Rhein"),
    place("Straße des 17. Juni #", "10623", "Berlin"),
    place("Große Bergstraße #", "22767", "Hamburg"),
    place("# Grafton Street", "D02 VF65", "Dublin"),
    place("# High Street", "EH1 1SW", "Edinburgh"),
    place("#, rue de l'Église", "75015", "Paris"),
    place("Calle de Alcalá, #", "28014", "Madrid"),
    place("Rua Augusta, #", "1100-053", "Lisboa"),
    place("Via Garibaldi, #", "16124", "Genova"),
    place("Prinsengracht #", "1015 DK", "Amsterdam"),
    place("Nørregade #", "1165", "København K"),
    place("Götgatan #", "116 46", "Stockholm"),
    place("ul. Świętojańska #", "81-372", "Gdynia"),
    place("Náměstí Míru #", "120 00", "Praha 2"),
    place("Kossuth Lajos utca #", "1053", "Budapest"),
    place("вул. Хрещатик, #", "01001", "Київ"),
    place("Ερμού #", "105 63", "Αθήνα"),
    place("İstiklal Caddesi No: #", "34433", "İstanbul"),
    place("銀座4丁目#番地", "104-0061", "東京都中央区"),
    place("세종대로 #", "04524", "서울특별시"),
];
