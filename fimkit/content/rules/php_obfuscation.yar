// PHP that hides what it does. What is hidden may be anything: no program for people to read is written this way.
//
// The patterns with a letter on each step, `(e|\\x65|\\145)`, read a name in any mix of letters, hexadecimal and octal escapes; what
// stands between letters, `(["']\s*\.\s*["'])?`, is a string broken in two. The plain name is no hit: the condition compares.

import "math"

rule php_eval_decoded {
  meta:
    description = "PHP runs what it decodes"
    severity = "suspect"
    attack = "T1027"
  strings:
    $run = /(^|[^\w>:$'"-])(eval|assert|create_function(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*[^;,]{0,20},|call_user_func\s*\(\s*['"]\w+['"]\s*,)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\(?([\s@"'.?>(]|\/\*[^*]*\*+\/){0,12}(base64_decode|gzinflate|gzuncompress|gzdecode|bzdecompress|str_rot13|strrev|convert_uudecode|hex2bin|pack|openssl_decrypt|mcrypt_\w+|rawurldecode|urldecode|html_entity_decode|htmlspecialchars_decode|strtr|implode|join|chr|xor\w*|array_map|vsprintf)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\(/i
    $text = /(^|[^\w>:$'"-])(eval|assert)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*(["']\s*\?>\s*["']\s*\.\s*)?["']?\s*(\\x[0-9a-f]{2}|\\[0-7]{2,3}|\$\{?["'\\]|\$\w{1,40}\s*\(\s*\$\w{1,40}\s*\(|\$\w{1,40}\s*\(\s*["'][^"']{20,}|\$GLOBALS\s*\[|\$\w{1,40}\s*\[\s*['"]?\w{1,20}['"]?\s*\]\s*\()/i
    $own = /(^|[^\w>:$'"-])eval(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\w{1,30}\s*\(\s*["'][A-Za-z0-9+\/=]{40,}/i
    $file = /(^|[^\w>:$'"-])eval(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\([^;]{0,60}(file_get_contents|fread|curl_exec|fgets|stream_get_contents|readfile|get_option|get_transient|get_post_meta|apc(u)?_fetch|getenv|exif_read_data|dns_get_record)\s*\(/i
    $offset = /(^|[^\w>:$'"-])eval(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\([^;]{0,80}(\b__FILE__|\b__COMPILER_HALT_OFFSET__|\b__LINE__)/i
    $php = /<\?(php|=|\s)/i
    $twig = /class (Smarty_|Twig_)\w+|namespace (Twig|Smarty)\b/
  condition:
    $php and ($own or $offset or any of ($run, $text) or ($file and not $twig))
}

rule php_decoded_then_run {
  meta:
    description = "PHP decodes something and soon runs a variable"
    severity = "suspect"
    attack = "T1027"
  strings:
    $decode = /\$\w+\s*\.?=\s*@?((\w{3,30}\s*\(\s*){0,3})(base64_decode|gzinflate|gzuncompress|str_rot13|strrev|convert_uudecode|hex2bin|pack\s*\(\s*['"]H\*|openssl_decrypt|mcrypt_decrypt)\s*\(/i
    $run = /(^|[^\w>:$'"-])(eval|assert)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*(["']\s*\?>\s*["']\s*\.\s*)?["']?\$\w/i
    $letters = /chr\s*\(\s*\(?\s*(bindec|hexdec|octdec|ord|base_convert|intval|\$\w+\s*[-+^*\/%\[])/i
    $lambda = /create_function\s*\(\s*(['"]{2}|['"]\$\w+['"]|null|\$\w+)\s*,\s*\$\w/i
  condition:
    filesize < 1MB and (
      (filesize < 16KB and $letters and any of ($run, $lambda))
      or for any i in (1..math.min(#decode, 100)) : ($run in (@decode[i]..@decode[i] + 1500) or $lambda in (@decode[i]..@decode[i] + 1500)))
}

rule php_decoders_nested {
  meta:
    description = "PHP unpacks a literal through two decoders"
    severity = "suspect"
    attack = "T1027"
  strings:
    $literal = /(gzinflate|gzuncompress|gzdecode|str_rot13|strrev|hex2bin|convert_uudecode|base64_decode|rawurldecode)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*(gzinflate|gzuncompress|str_rot13|strrev|hex2bin|convert_uudecode|base64_decode|substr)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\([^;$]{0,60}["'][A-Za-z0-9+\/=\\%]{24,}/i
    $three = /(gzinflate|gzuncompress|gzdecode|str_rot13|strrev|convert_uudecode|base64_decode)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*(gzinflate|gzuncompress|gzdecode|str_rot13|strrev|convert_uudecode|base64_decode)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*(gzinflate|gzuncompress|gzdecode|str_rot13|strrev|convert_uudecode|base64_decode)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\(/i
    $rot = /(base64_decode(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*(str_rot13|strrev)|(str_rot13|strrev)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*(base64_decode|gzinflate|strrev|str_rot13)|gz(inflate|uncompress)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*(str_rot13|strrev)|gzinflate(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*gzinflate)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\(/i
  condition:
    any of them
}

rule php_name_disguised {
  meta:
    description = "PHP writes the name of a function that runs or decodes in escapes or in pieces"
    severity = "suspect"
    attack = "T1027"
  strings:
    $base64_decode = /(b|\\x62|\\142|\\x42|\\102)(["\']\s*\.\s*["\'])?(a|\\x61|\\141|\\x41|\\101)(["\']\s*\.\s*["\'])?(s|\\x73|\\163|\\x53|\\123)(["\']\s*\.\s*["\'])?(e|\\x65|\\145|\\x45|\\105)(["\']\s*\.\s*["\'])?(6|\\x36|\\66)(["\']\s*\.\s*["\'])?(4|\\x34|\\64)(["\']\s*\.\s*["\'])?(_|\\x5f|\\137)(["\']\s*\.\s*["\'])?(d|\\x64|\\144|\\x44|\\104)(["\']\s*\.\s*["\'])?(e|\\x65|\\145|\\x45|\\105)(["\']\s*\.\s*["\'])?(c|\\x63|\\143|\\x43|\\103)(["\']\s*\.\s*["\'])?(o|\\x6f|\\157|\\x4f|\\117)(["\']\s*\.\s*["\'])?(d|\\x64|\\144|\\x44|\\104)(["\']\s*\.\s*["\'])?(e|\\x65|\\145|\\x45|\\105)/ nocase
    $base64_decode_plain = "base64_decode" nocase
    $gzinflate = /(g|\\x67|\\147|\\x47|\\107)(["\']\s*\.\s*["\'])?(z|\\x7a|\\172|\\x5a|\\132)(["\']\s*\.\s*["\'])?(i|\\x69|\\151|\\x49|\\111)(["\']\s*\.\s*["\'])?(n|\\x6e|\\156|\\x4e|\\116)(["\']\s*\.\s*["\'])?(f|\\x66|\\146|\\x46|\\106)(["\']\s*\.\s*["\'])?(l|\\x6c|\\154|\\x4c|\\114)(["\']\s*\.\s*["\'])?(a|\\x61|\\141|\\x41|\\101)(["\']\s*\.\s*["\'])?(t|\\x74|\\164|\\x54|\\124)(["\']\s*\.\s*["\'])?(e|\\x65|\\145|\\x45|\\105)/ nocase
    $gzinflate_plain = "gzinflate" nocase
    $str_rot13 = /(s|\\x73|\\163|\\x53|\\123)(["\']\s*\.\s*["\'])?(t|\\x74|\\164|\\x54|\\124)(["\']\s*\.\s*["\'])?(r|\\x72|\\162|\\x52|\\122)(["\']\s*\.\s*["\'])?(_|\\x5f|\\137)(["\']\s*\.\s*["\'])?(r|\\x72|\\162|\\x52|\\122)(["\']\s*\.\s*["\'])?(o|\\x6f|\\157|\\x4f|\\117)(["\']\s*\.\s*["\'])?(t|\\x74|\\164|\\x54|\\124)(["\']\s*\.\s*["\'])?(1|\\x31|\\61)(["\']\s*\.\s*["\'])?(3|\\x33|\\63)/ nocase
    $str_rot13_plain = "str_rot13" nocase
    $create_function = /(c|\\x63|\\143|\\x43|\\103)(["\']\s*\.\s*["\'])?(r|\\x72|\\162|\\x52|\\122)(["\']\s*\.\s*["\'])?(e|\\x65|\\145|\\x45|\\105)(["\']\s*\.\s*["\'])?(a|\\x61|\\141|\\x41|\\101)(["\']\s*\.\s*["\'])?(t|\\x74|\\164|\\x54|\\124)(["\']\s*\.\s*["\'])?(e|\\x65|\\145|\\x45|\\105)(["\']\s*\.\s*["\'])?(_|\\x5f|\\137)(["\']\s*\.\s*["\'])?(f|\\x66|\\146|\\x46|\\106)(["\']\s*\.\s*["\'])?(u|\\x75|\\165|\\x55|\\125)(["\']\s*\.\s*["\'])?(n|\\x6e|\\156|\\x4e|\\116)(["\']\s*\.\s*["\'])?(c|\\x63|\\143|\\x43|\\103)(["\']\s*\.\s*["\'])?(t|\\x74|\\164|\\x54|\\124)(["\']\s*\.\s*["\'])?(i|\\x69|\\151|\\x49|\\111)(["\']\s*\.\s*["\'])?(o|\\x6f|\\157|\\x4f|\\117)(["\']\s*\.\s*["\'])?(n|\\x6e|\\156|\\x4e|\\116)/ nocase
    $create_function_plain = "create_function" nocase
    $shell_exec = /(s|\\x73|\\163|\\x53|\\123)(["\']\s*\.\s*["\'])?(h|\\x68|\\150|\\x48|\\110)(["\']\s*\.\s*["\'])?(e|\\x65|\\145|\\x45|\\105)(["\']\s*\.\s*["\'])?(l|\\x6c|\\154|\\x4c|\\114)(["\']\s*\.\s*["\'])?(l|\\x6c|\\154|\\x4c|\\114)(["\']\s*\.\s*["\'])?(_|\\x5f|\\137)(["\']\s*\.\s*["\'])?(e|\\x65|\\145|\\x45|\\105)(["\']\s*\.\s*["\'])?(x|\\x78|\\170|\\x58|\\130)(["\']\s*\.\s*["\'])?(e|\\x65|\\145|\\x45|\\105)(["\']\s*\.\s*["\'])?(c|\\x63|\\143|\\x43|\\103)/ nocase
    $shell_exec_plain = "shell_exec" nocase
    $passthru = /(p|\\x70|\\160|\\x50|\\120)(["\']\s*\.\s*["\'])?(a|\\x61|\\141|\\x41|\\101)(["\']\s*\.\s*["\'])?(s|\\x73|\\163|\\x53|\\123)(["\']\s*\.\s*["\'])?(s|\\x73|\\163|\\x53|\\123)(["\']\s*\.\s*["\'])?(t|\\x74|\\164|\\x54|\\124)(["\']\s*\.\s*["\'])?(h|\\x68|\\150|\\x48|\\110)(["\']\s*\.\s*["\'])?(r|\\x72|\\162|\\x52|\\122)(["\']\s*\.\s*["\'])?(u|\\x75|\\165|\\x55|\\125)/ nocase
    $passthru_plain = "passthru" nocase
    $assert = /(a|\\x61|\\141|\\x41|\\101)(["\']\s*\.\s*["\'])?(s|\\x73|\\163|\\x53|\\123)(["\']\s*\.\s*["\'])?(s|\\x73|\\163|\\x53|\\123)(["\']\s*\.\s*["\'])?(e|\\x65|\\145|\\x45|\\105)(["\']\s*\.\s*["\'])?(r|\\x72|\\162|\\x52|\\122)(["\']\s*\.\s*["\'])?(t|\\x74|\\164|\\x54|\\124)/ nocase
    $assert_plain = "assert" nocase
    $system = /(s|\\x73|\\163|\\x53|\\123)(["\']\s*\.\s*["\'])?(y|\\x79|\\171|\\x59|\\131)(["\']\s*\.\s*["\'])?(s|\\x73|\\163|\\x53|\\123)(["\']\s*\.\s*["\'])?(t|\\x74|\\164|\\x54|\\124)(["\']\s*\.\s*["\'])?(e|\\x65|\\145|\\x45|\\105)(["\']\s*\.\s*["\'])?(m|\\x6d|\\155|\\x4d|\\115)/ nocase
    $system_plain = "system" nocase
    $eval = /["'](e|\\x65|\\145|\\x45|\\105)(["\']\s*\.\s*["\'])?(v|\\x76|\\166|\\x56|\\126)(["\']\s*\.\s*["\'])?(a|\\x61|\\141|\\x41|\\101)(["\']\s*\.\s*["\'])?(l|\\x6c|\\154|\\x4c|\\114)["']/ nocase
    $eval_plain = /["']eval["']/ nocase
    $call_user_func = /(c|\\x63|\\143|\\x43|\\103)(["\']\s*\.\s*["\'])?(a|\\x61|\\141|\\x41|\\101)(["\']\s*\.\s*["\'])?(l|\\x6c|\\154|\\x4c|\\114)(["\']\s*\.\s*["\'])?(l|\\x6c|\\154|\\x4c|\\114)(["\']\s*\.\s*["\'])?(_|\\x5f|\\137)(["\']\s*\.\s*["\'])?(u|\\x75|\\165|\\x55|\\125)(["\']\s*\.\s*["\'])?(s|\\x73|\\163|\\x53|\\123)(["\']\s*\.\s*["\'])?(e|\\x65|\\145|\\x45|\\105)(["\']\s*\.\s*["\'])?(r|\\x72|\\162|\\x52|\\122)(["\']\s*\.\s*["\'])?(_|\\x5f|\\137)(["\']\s*\.\s*["\'])?(f|\\x66|\\146|\\x46|\\106)(["\']\s*\.\s*["\'])?(u|\\x75|\\165|\\x55|\\125)(["\']\s*\.\s*["\'])?(n|\\x6e|\\156|\\x4e|\\116)(["\']\s*\.\s*["\'])?(c|\\x63|\\143|\\x43|\\103)/ nocase
    $call_user_func_plain = "call_user_func" nocase
    $file_put_contents = /(f|\\x66|\\146|\\x46|\\106)(["\']\s*\.\s*["\'])?(i|\\x69|\\151|\\x49|\\111)(["\']\s*\.\s*["\'])?(l|\\x6c|\\154|\\x4c|\\114)(["\']\s*\.\s*["\'])?(e|\\x65|\\145|\\x45|\\105)(["\']\s*\.\s*["\'])?(_|\\x5f|\\137)(["\']\s*\.\s*["\'])?(p|\\x70|\\160|\\x50|\\120)(["\']\s*\.\s*["\'])?(u|\\x75|\\165|\\x55|\\125)(["\']\s*\.\s*["\'])?(t|\\x74|\\164|\\x54|\\124)(["\']\s*\.\s*["\'])?(_|\\x5f|\\137)(["\']\s*\.\s*["\'])?(c|\\x63|\\143|\\x43|\\103)(["\']\s*\.\s*["\'])?(o|\\x6f|\\157|\\x4f|\\117)(["\']\s*\.\s*["\'])?(n|\\x6e|\\156|\\x4e|\\116)(["\']\s*\.\s*["\'])?(t|\\x74|\\164|\\x54|\\124)(["\']\s*\.\s*["\'])?(e|\\x65|\\145|\\x45|\\105)(["\']\s*\.\s*["\'])?(n|\\x6e|\\156|\\x4e|\\116)(["\']\s*\.\s*["\'])?(t|\\x74|\\164|\\x54|\\124)(["\']\s*\.\s*["\'])?(s|\\x73|\\163|\\x53|\\123)/ nocase
    $file_put_contents_plain = "file_put_contents" nocase
    $gzuncompress = /(g|\\x67|\\147|\\x47|\\107)(["\']\s*\.\s*["\'])?(z|\\x7a|\\172|\\x5a|\\132)(["\']\s*\.\s*["\'])?(u|\\x75|\\165|\\x55|\\125)(["\']\s*\.\s*["\'])?(n|\\x6e|\\156|\\x4e|\\116)(["\']\s*\.\s*["\'])?(c|\\x63|\\143|\\x43|\\103)(["\']\s*\.\s*["\'])?(o|\\x6f|\\157|\\x4f|\\117)(["\']\s*\.\s*["\'])?(m|\\x6d|\\155|\\x4d|\\115)(["\']\s*\.\s*["\'])?(p|\\x70|\\160|\\x50|\\120)(["\']\s*\.\s*["\'])?(r|\\x72|\\162|\\x52|\\122)(["\']\s*\.\s*["\'])?(e|\\x65|\\145|\\x45|\\105)(["\']\s*\.\s*["\'])?(s|\\x73|\\163|\\x53|\\123)(["\']\s*\.\s*["\'])?(s|\\x73|\\163|\\x53|\\123)/ nocase
    $gzuncompress_plain = "gzuncompress" nocase
    $exec = /["'](e|\\x65|\\145|\\x45|\\105)(["\']\s*\.\s*["\'])?(x|\\x78|\\170|\\x58|\\130)(["\']\s*\.\s*["\'])?(e|\\x65|\\145|\\x45|\\105)(["\']\s*\.\s*["\'])?(c|\\x63|\\143|\\x43|\\103)["']/ nocase
    $exec_plain = /["']exec["']/ nocase
    $move_uploaded = /(m|\\x6d|\\155|\\x4d|\\115)(["\']\s*\.\s*["\'])?(o|\\x6f|\\157|\\x4f|\\117)(["\']\s*\.\s*["\'])?(v|\\x76|\\166|\\x56|\\126)(["\']\s*\.\s*["\'])?(e|\\x65|\\145|\\x45|\\105)(["\']\s*\.\s*["\'])?(_|\\x5f|\\137)(["\']\s*\.\s*["\'])?(u|\\x75|\\165|\\x55|\\125)(["\']\s*\.\s*["\'])?(p|\\x70|\\160|\\x50|\\120)(["\']\s*\.\s*["\'])?(l|\\x6c|\\154|\\x4c|\\114)(["\']\s*\.\s*["\'])?(o|\\x6f|\\157|\\x4f|\\117)(["\']\s*\.\s*["\'])?(a|\\x61|\\141|\\x41|\\101)(["\']\s*\.\s*["\'])?(d|\\x64|\\144|\\x44|\\104)(["\']\s*\.\s*["\'])?(e|\\x65|\\145|\\x45|\\105)(["\']\s*\.\s*["\'])?(d|\\x64|\\144|\\x44|\\104)/ nocase
    $move_uploaded_plain = "move_uploaded" nocase
  condition:
    for any i in (1..math.min(#base64_decode, 100)) : (not $base64_decode_plain at @base64_decode[i])
    or for any i in (1..math.min(#gzinflate, 100)) : (not $gzinflate_plain at @gzinflate[i])
    or for any i in (1..math.min(#str_rot13, 100)) : (not $str_rot13_plain at @str_rot13[i])
    or for any i in (1..math.min(#create_function, 100)) : (not $create_function_plain at @create_function[i])
    or for any i in (1..math.min(#shell_exec, 100)) : (not $shell_exec_plain at @shell_exec[i])
    or for any i in (1..math.min(#passthru, 100)) : (not $passthru_plain at @passthru[i])
    or for any i in (1..math.min(#assert, 100)) : (not $assert_plain at @assert[i])
    or for any i in (1..math.min(#system, 100)) : (not $system_plain at @system[i])
    or for any i in (1..math.min(#eval, 100)) : (not $eval_plain at @eval[i])
    or for any i in (1..math.min(#call_user_func, 100)) : (not $call_user_func_plain at @call_user_func[i])
    or for any i in (1..math.min(#file_put_contents, 100)) : (not $file_put_contents_plain at @file_put_contents[i])
    or for any i in (1..math.min(#gzuncompress, 100)) : (not $gzuncompress_plain at @gzuncompress[i])
    or for any i in (1..math.min(#exec, 100)) : (not $exec_plain at @exec[i])
    or for any i in (1..math.min(#move_uploaded, 100)) : (not $move_uploaded_plain at @move_uploaded[i])
}

rule php_name_reversed {
  meta:
    description = "A name of PHP that runs or decodes, written backwards or by rot13"
    severity = "suspect"
    attack = "T1027"
  strings:
    $back1 = "edoced_46esab" nocase
    $back2 = "etalfnizg" nocase
    $back3 = "noitcnuf_etaerc" nocase
    $back4 = "urhtssap" nocase
    $back5 = "cexe_llehs" nocase
    $back6 = /['"](tressa|metsys|lave|cexe|nepop)['"]/ nocase
    $back7 = "31tor_rts" nocase
    $back8 = /TSOP_\$|TEG_\$|TSEUQER_\$/
    $rot1 = "onfr64_qrpbqr" nocase
    $rot2 = "tmvasyngr" nocase
    $rot3 = "perngr_shapgvba" nocase
    $rot4 = /['"](nffreg|flfgrz|riny|cnffgueh|furyy_rkrp|rkrp|cbcra)['"]/ nocase
    $rot5 = /\$_(CBFG|TRG|ERDHRFG|PBBXVR)\b/
    $turn = /(strrev|str_rot13|array_reverse)\s*\(/i
    $php = /<\?(php|=|\s)/i
  condition:
    $php and (any of ($back1, $back2, $back3, $back5, $back7, $back8, $rot1, $rot2, $rot3, $rot5) or ($turn and any of ($back4, $back6, $rot4)))
}

rule php_hidden_in_base64 {
  meta:
    description = "A base64 text that holds PHP which runs something"
    severity = "suspect"
    attack = "T1027"
  strings:
    $s01 = "eval($_POST" base64
    $s02 = "eval($_GET" base64
    $s03 = "eval($_REQUEST" base64
    $s04 = "eval(base64_decode" base64
    $s05 = "eval(gzinflate" base64
    $s06 = "system($_" base64
    $s07 = "shell_exec(" base64
    $s08 = "passthru(" base64
    $s09 = "assert($_" base64
    $s10 = "move_uploaded_file" base64
    $s11 = "disable_functions" base64
    $s12 = "base64_decode(" base64
    $s13 = "$_REQUEST[" base64
    $s14 = "$_POST[" base64
    $s15 = "$_COOKIE[" base64
    $s16 = "error_reporting(0)" base64
    $s17 = "gzinflate(" base64
    $s18 = "create_function" base64
    $s19 = "<?php" base64
    $s20 = "fsockopen(" base64
    $s21 = "HTTP_USER_AGENT" base64
    $s22 = "file_put_contents" base64
    $name = /['"](X1BPU1Q=?|X0dFVA={0,2}|X1JFUVVFU1Q=?|X0NPT0tJRQ={0,2}|YXNzZXJ0|c3lzdGVt|ZXZhbA={0,2}|c2hlbGxfZXhlYw={0,2}|cGFzc3RocnU=?|ZXhlYw={0,2}|cG9wZW4=?|cHJvY19vcGVu|YmFzZTY0X2RlY29kZQ={0,2}|Z3ppbmZsYXRl|Z3p1bmNvbXByZXNz|c3RyX3JvdDEz|Y3JlYXRlX2Z1bmN0aW9u|ZmlsZV9wdXRfY29udGVudHM=?|Y2FsbF91c2VyX2Z1bmM=?|cHJlZ19yZXBsYWNl)['"]/
    $php = /<\?(php|=|\s)/i
  condition:
    $php and ($name or any of ($s*))
}

rule php_hidden_by_xor {
  meta:
    description = "PHP source under a one-byte xor"
    severity = "suspect"
    attack = "T1027"
  strings:
    $a = "eval($_POST" xor(1-255)
    $b = "base64_decode(" xor(1-255)
    $c = "$_REQUEST[" xor(1-255)
    $d = "shell_exec(" xor(1-255)
    $e = "move_uploaded_file" xor(1-255)
    $php = /<\?(php|=|\s)/i
  condition:
    $php and any of ($a, $b, $c, $d, $e)
}

rule php_chr_chain {
  meta:
    description = "PHP spells words letter by letter with chr()"
    severity = "suspect"
    attack = "T1027"
  strings:
    $letters = /(chr(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\(\s*(0x(5f|[67][0-9a-f])|0b1[01]{6}|01[3-7][0-7]|9[5-9]|1[01]\d|12[0-2])\s*\)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\.(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*["']{0,2}\.?\s*){3}/i
    $sums = /(chr(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\(\s*\(?\s*(0x[0-9a-f]+|\d+)\s*[-+*^\/%]\s*[^()]{1,30}\)\s*\)?\s*\.\s*){3}/i
    $appends = /(\$\w{1,40}\s*\.=\s*chr\s*\(\s*(9[5-9]|1[01]\d|12[0-2])\s*\)\s*;\s*){4}/i
    $list = /(array_map|implode|join)\s*\([^;]{0,40}['"]chr['"]\s*,\s*(array\s*\(|\[)\s*((9[5-9]|1[01]\d|12[0-2])\s*,\s*){3}/i
    $format = /v?sprintf\s*\(\s*(str_repeat\s*\(\s*)?['"](%c){3,}['"]?/i
    $library = /namespace |@package|@license|Copyright|class adoSchema/
  condition:
    (any of ($sums, $format) and not $library) or any of ($letters, $appends, $list)
}

rule php_hex_of_name {
  meta:
    description = "A name of PHP that runs or decodes, as hexadecimal digits"
    severity = "suspect"
    attack = "T1027"
  strings:
    $eval = /['"](3c3f706870|6576616c28|6261736536345f6465636f6465|677a696e666c617465|6372656174655f66756e6374696f6e|7368656c6c5f65786563|7061737374687275|245f504f5354|245f474554|245f52455155455354|66696c655f7075745f636f6e74656e7473)/i
    $short = /['"](73797374656d|617373657274|6576616c|65786563|706f70656e)['"]/i
    $turn = /hex2bin|pack\s*\(|chr\s*\(|hexdec/i
  condition:
    $turn and ($eval or $short)
}

rule php_no_letters {
  meta:
    description = "PHP without letters: names grown by ++ or out of punctuation"
    severity = "suspect"
    attack = "T1027"
  strings:
    $steps = /(\$_{1,10}\s*\+\+\s*;\s*){5}/
    $each = /\+\+\s*\$_{1,10}\s*;\s*\+\+\s*\$_{1,10}\s*;\s*\+\+\s*\$_{1,10}\s*;/
    $names = /\$_{2,12}\s*=\s*[^;\w]{0,6}\$_{1,12}\s*[^;a-z]{0,40};\s*\$_{2,12}\s*\.?=\s*[^;a-z]{0,60};/
    $calls = /\$_{1,12}\s*\(\s*(\$_{1,12}\s*[\[(]|\$\{|\$\$)/
    $dollar = /\$\{\s*['"]?_{0,3}['"]?\s*\.?\s*\$_{1,12}\s*\}\s*[\[{]|\$\$_{1,12}\s*[\[{]/
  condition:
    $steps or $each or ($names and ($calls or $dollar)) or ($calls and $dollar)
}

rule php_request_disguised {
  meta:
    description = "PHP hides that it reads the request"
    severity = "suspect"
    attack = "T1027"
  strings:
    $braces = /\$\{\s*["'](_|\\x5f|\\137)(G|P|R|C|\\x[45]|\\1[012])/i
    $split = /["']_["']?\s*\.?\s*["']?(G["']?\s*\.\s*["']E|GE["']\s*\.\s*["']T|P["']?\s*\.\s*["']OS?|PO["']\s*\.\s*["']S|POS["']\s*\.\s*["']T|R["']?\s*\.\s*["']EQ?|RE["']\s*\.\s*["']Q|REQ["']\s*\.\s*["']UE?|C["']?\s*\.\s*["']OO?|CO["']\s*\.\s*["']O|COO["']\s*\.\s*["']K)/
    $piece = /["']_["']\s*\.\s*["'](GET|POST|REQUEST|COOKIE)["']/
    $twice = /\$\w{1,20}\s*=\s*["']_(GET|POST|REQUEST|COOKIE)["']\s*;/
    $deref = /\$\$\w{1,20}|\$\{\s*\$\w{1,20}\s*\}/
    $upper = /(strtoupper|ucwords)\s*\(\s*["']_?(\s*["']\s*\.\s*["'])?(get|post|request|cookie)/
    $globals = /\$\{?["']?\s*(\\x47|\\107)?\\?x?(LOBALS|\\x4c|\\114)/i
    $globals_hex = /\$\{\s*["'][^"'\n]{0,60}(\\x[0-9a-f]{2}|\\[0-7]{2,3})[^"'\n]{0,80}["']\s*\}/i
    $globals_index = /(\$GLOBALS\s*\[\s*['"][^'"\n]{1,30}['"]\s*\]\s*[\[{]\s*\d+\s*[\]}]\s*[.(]\s*){2}/
    $globals_name = /\$GLOBALS\s*\[\s*["'](_["']\s*\.|[^"'\n]{0,20}\\x[0-9a-f]{2})/
  condition:
    any of ($braces, $split, $piece, $upper, $globals, $globals_hex, $globals_index, $globals_name) or ($twice and $deref)
}

rule php_dynamic_function_weak {
  meta:
    description = "PHP makes a function of a string at run time"
    severity = "info"
    attack = "T1059"
  strings:
    $make = /[^\w>:$'"]create_function\s*\(\s*['"$]/i
    $eval = /(^|[^\w>:$'"-])eval\s*\(\s*['"$(]/i
    $php = /<\?(php|=|\s)/i
  condition:
    $php and any of ($make, $eval)
}
