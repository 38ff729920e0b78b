/// The words of Jinja that this interpreter has. A template with another one is refused when it is loaded, and not in
/// the middle of a conversation.
enum Known {
    /// Parameters by name, in their order; nil for what is read by hand.
    static let filters: [String: [String]?] = [
        "abs": [], "capitalize": [], "count": [], "d": ["default_value", "boolean"],
        "default": ["default_value", "boolean"], "dictsort": ["case_sensitive", "by", "reverse"], "first": [],
        "float": ["default"], "indent": ["width", "first", "blank"], "int": ["default"], "items": [],
        "join": ["d", "attribute"], "last": [], "length": [], "list": [], "lower": [], "map": nil,
        "max": ["case_sensitive", "attribute"], "min": ["case_sensitive", "attribute"], "reject": nil,
        "rejectattr": nil, "replace": ["old", "new", "count"], "reverse": [], "round": ["precision", "method"],
        "select": nil, "selectattr": nil, "sort": ["reverse", "case_sensitive", "attribute"], "string": [],
        "sum": ["attribute", "start"], "title": [], "tojson": ["ensure_ascii", "indent", "separators", "sort_keys"],
        "trim": ["chars"], "unique": ["case_sensitive", "attribute"], "upper": [],
    ]

    /// How many arguments a test takes.
    static let tests: [String: Int] = [
        "boolean": 0, "defined": 0, "divisibleby": 1, "eq": 1, "equalto": 1, "==": 1, "even": 0, "false": 0,
        "float": 0, "ge": 1, "gt": 1, "greaterthan": 1, "in": 1, "integer": 0, "iterable": 0, "le": 1, "lower": 0,
        "lt": 1, "lessthan": 1, "mapping": 0, "ne": 1, "none": 0, "number": 0, "odd": 0, "sameas": 1, "sequence": 0,
        "string": 0, "true": 0, "undefined": 0, "upper": 0,
    ]

    /// Methods of texts, lists, mappings and loops, with the names of parameters that may be named.
    static let methods: [String: [String]] = [
        "capitalize": [], "count": [], "endswith": [], "find": [], "get": [], "index": [], "isdigit": [],
        "isspace": [], "items": [], "join": [], "keys": [], "lower": [], "lstrip": [], "partition": [],
        "removeprefix": [], "removesuffix": [], "replace": [], "rfind": [], "rpartition": [],
        "rsplit": ["sep", "maxsplit"], "rstrip": [], "split": ["sep", "maxsplit"], "splitlines": [],
        "startswith": [], "strip": [], "title": [], "upper": [], "values": [],
        "changed": [], "cycle": [],
    ]

    static let functions: Set<String> = ["dict", "namespace", "raise_exception", "range", "strftime_now"]

    /// What Python has under these names where a mapping, list or text has no such member: a method.
    static let ofMappings: Set<String> = ["copy", "fromkeys", "get", "items", "keys", "values"]
    static let ofLists: Set<String> = ["copy", "count", "index"]
    static let ofTexts: Set<String> = [
        "capitalize", "casefold", "center", "count", "encode", "endswith", "expandtabs", "find", "format",
        "format_map", "index", "isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "isidentifier", "islower",
        "isnumeric", "isprintable", "isspace", "istitle", "isupper", "join", "ljust", "lower", "lstrip", "maketrans",
        "partition", "removeprefix", "removesuffix", "replace", "rfind", "rindex", "rjust", "rpartition", "rsplit",
        "rstrip", "split", "splitlines", "startswith", "strip", "swapcase", "title", "translate", "upper", "zfill",
    ]

    /// Names that Jinja binds where nothing else does.
    static let reserved: Set<String> = ["caller", "kwargs", "self", "super", "varargs", "cycler", "joiner", "lipsum"]
}
