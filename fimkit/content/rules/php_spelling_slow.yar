// PHP that spells its words in an odd way: rules that are slow on any PHP, for they begin at variables and strings.
// door: door_spelling

import "math"

rule php_letters_picked {
  meta:
    description = "PHP spells words with letters picked from a string by their numbers"
    severity = "suspect"
    attack = "T1027"
  strings:
    $square = /(\[\s*(\d+|0x[0-9a-f]+)\s*\]\s*\.\s*\$\w{1,40}\s*){4}\[\s*(\d|0x)/i
    $curly = /(\{ ?(\d+|0x[0-9a-f]+)\s*\}\s*\.\s*\$\w{1,40}\s*){2}\{/i
    $substr = /(substr\s*\(\s*\$\w{1,40}\s*,\s*-?\d+\s*,\s*1\s*\)\s*\.\s*){3}/i
    $append = /(\$\w{1,40}\s*\.=\s*\$\w{1,40}\s*[\[{]\s*\d+\s*[\]}]\s*;\s*){5}/
    $literal = /(["'][^"'\n]{8,80}["']\s*[\[{]\s*\d+\s*[\]}]\s*\.\s*){3}/
    $called = /[;=({]\s*@?\$\{?\w{1,40}\}?(\s*[\[{][^\];]{0,40}[\]}])?\s*\(\s*[^);\n]{0,120}\)|\b(eval|assert)\s*\(/
    $php = /<\?(php|=|\s)/i
  condition:
    $php and any of ($square, $curly, $substr, $append, $literal) and $called
}

rule php_pieces_joined {
  meta:
    description = "PHP joins many tiny strings, and calls a function by a variable"
    severity = "suspect"
    attack = "T1027"
  strings:
    $chain = /(["'][\w;(<?$\/+=]{1,4}["']\s*\.\s*){4}["'][\w;(<?$\/+=]{0,6}["']/
    $replace = /\$\w{1,40}\s*=\s*(str_replace|str_ireplace|strtr|substr_replace|preg_replace)\s*\(\s*["'][^"'\n]{0,12}["']\s*,\s*["']{2}\s*,\s*["'][^"'\n]{4,80}["']\s*\)\s*;/i
    $called = /([;=({]|return|echo)\s*@?\$\w{1,40}\s*\(\s*(['"]{0,2}\s*,|\$\w|['"][A-Za-z0-9+\/=]{16,}|@)[^;\n]{0,200}\)/
    $run = /(^|[^\w>:$'"-])(eval|assert)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\$\w/i
  condition:
    ($chain or $replace) and ($called or $run)
}

rule php_escapes_dense {
  meta:
    description = "PHP spells letters as escapes, many at once"
    severity = "suspect"
    attack = "T1027"
  strings:
    $hex = /(\\x(5f|[67][0-9a-f])){8}/i
    $octal = /(\\1[4-7][0-7]){8}/
    $mixed = /(\\x(5f|[67][0-9a-f])[a-z_]{0,2}\\1[3-7][0-7]|\\1[3-7][0-7][a-z_]{0,2}\\x(5f|[67][0-9a-f]))[a-z_]{0,2}(\\x(5f|[67][0-9a-f])|\\1[3-7][0-7])/i
    $alphabet = "\\x20\\x65\\x69\\x61\\x73\\x6E\\x74\\x72\\x6F" // the letters by how often they are, in a table of Symfony's
    $run = /\b(eval|assert|create_function|base64_decode|gzinflate|system|include|require|include_once|call_user_func)\b|\$\{?["']?\w*\}?\s*\(\s*["'$]/i
    $php = /<\?(php|=|\s)/i
  condition:
    $php and $run and not $alphabet and any of ($hex, $octal, $mixed)
}

rule php_long_base64 {
  meta:
    description = "PHP holds a long base64 text"
    severity = "info"
    attack = "T1027"
  strings:
    $long = /["'][A-Za-z0-9+\/]{1000}/
    $decode = /base64_decode|gzinflate|str_rot13/i
    $php = /<\?(php|=|\s)/i
  condition:
    $php and $long and $decode
}

rule php_long_base64_run {
  meta:
    description = "PHP that is little but a long encoded text, and runs what it decodes"
    severity = "suspect"
    attack = "T1027"
  strings:
    $long = /["'][A-Za-z0-9+\/=\\%@*_.-]{400}/
    $run = /(^|[^\w>:$'"-])(eval|assert|create_function)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*["']?[@$\w("']/i
    $called = /[;=]\s*@?\$\w{1,40}\s*\(\s*\$?[\w'"][^;]{0,80}\)\s*;/
    $decode = /base64_decode|gzinflate|gzuncompress|str_rot13|strrev|convert_uudecode|hex2bin|pack\s*\(|strtr|chr\s*\(|ord\s*\(/i
    $php = /<\?(php|=|\s)/i
  condition:
    $php and $long and (($run and $decode) or ($called and $run))
}

rule php_xor_literals {
  meta:
    description = "PHP makes a word out of two others by xor, or by turning all bits"
    severity = "suspect"
    attack = "T1027"
  strings:
    $xor = /[=(,;{?:][ \t\r\n]{0,8}\(?[ \t\r\n]{0,8}("[^"\n]{1,80}"|'[^'\n]{1,80}')\s*\)?\s*\^\s*\(?\s*("[^"\n]{1,80}"|'[^'\n]{1,80}')\s*\)?\s*[;,.()\]?]/
    $joined = /[=(,;{.][ \t\r\n]{0,8}\(\s*("[^"\n]{1,8}"|'[^'\n]{1,8}')\s*\^\s*("[^"\n]{1,8}"|'[^'\n]{1,8}')\s*\)/
    $not = /[=(;.,\[]\s*~\s*(["'](\\x[89a-f][0-9a-f]|%[89a-f][0-9a-f]|[\x80-\xff]){2,60}["']|(urldecode|rawurldecode|base64_decode|hex2bin)\s*\(\s*["']|[\x80-\xff]{3,40}\s*\)\s*[(;])/i
    $php = /<\?(php\s|=|\s)/i
  condition:
    $php and any of ($xor, $joined, $not)
}

rule php_xor_loop {
  meta:
    description = "PHP decrypts byte by byte in a loop, and runs what comes out"
    severity = "suspect"
    attack = "T1027"
  strings:
    $indexed = /[\]}][ \t]{0,2}\)?[ \t]{0,2}\^\s*(ord\s*\(\s*)?\$\w/
    $chars = /chr\s*\(\s*ord\s*\([^;]{1,60}\)\s*(\^|-|\+)\s*[^;]{1,60}\)/i
    $assign = /[\w \t\]}.]= ?(chr ?\(\s*)?\(?\s?(ord ?\(\s*)?\$\w{1,40}\s*[\[{][^;]{1,60}\^/i
    $run = /(^|[^\w>:$'"-])(eval|assert|create_function)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*["']?[$@\w]/i
    $called = /[;{}=]\s*@?\$\w{1,40}\s*\(\s*(['"]{0,2}|\$\w+(\s*[\[{][^;]{1,20})?)\s*(,[^;]{0,60})?\)\s*;/
    $request = /\$_(GET|POST|REQUEST|COOKIE)|php:\/\/input/
    $test = /namespace phpseclib|Crypt_Base\b/
    $php = /<\?(php|=|\s)/i
  condition:
    $php and any of ($indexed, $chars, $assign) and ($run or ($called and $request)) and not $test
}

rule php_name_assigned {
  meta:
    description = "PHP keeps the name of a function that runs code in a variable, and calls the variable"
    severity = "suspect"
    attack = "T1027"
  strings:
    $name = /\$\w{1,40}\s*=\s*['"](assert|system|passthru|shell_exec|exec|popen|eval|create_function|pcntl_exec)['"]\s*;/i
    $called = /[;{}=(@\s]\$\w{1,40}\s*\(\s*["']?@?\$\w/
    $constants = /\(\s*\w{1,40}::\w{1,40}\s*\.\s*\w{1,40}::\w{1,40}[^()]{0,60}\)\s*\(/
    $listed = /get_defined_functions\s*\(/i
    $listed_call = /[;{}=(@\s]\$\w{1,40}\s*\(\s*(\w{3,20}\s*\(\s*)?\$_(GET|POST|REQUEST|COOKIE)\b/i
  condition:
    $constants or ($listed and $listed_call) or for any i in (1..math.min(#name, 50)) : ($called in (@name[i]..@name[i] + 300))
}

rule php_jumbled_flow {
  meta:
    description = "PHP jumps from label to label: source that a program has scrambled"
    severity = "suspect"
    attack = "T1027"
  strings:
    $goto = /\bgoto\s+\w{3,12}\s*;\s*\w{3,12}\s*:/
    $escaped = /"(\\x[0-9a-f]{2}|\\[0-7]{2,3}|[\w\/.]){4,}"/i
  condition:
    #goto > 6 and $escaped
}
