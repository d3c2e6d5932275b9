// Pictures and documents that carry a program.

rule picture_with_php {
  meta:
    description = "A picture, or what begins as one, holds PHP"
    severity = "suspect"
    attack = "T1036.008"
  strings:
    $php = /<\?php[\s\/\x00]/i
    $short = /<\?=\s{0,4}(@?\$[a-z_{]|@?`|[@(]?\\?[a-z_]\w{2,30}\s*\(|["'(]{1,2}[\w.'" ]{2,30}["')]{1,2}\s*\(|\/\*)[\t\r\n\x20-\x7e]{4}/i
    $bare = /<\?\s{1,4}(@?(eval|assert|system|include|require|echo|passthru|exec|if|print|error_reporting|\$\w+\s*=)|@?\$)[\t\r\n\x20-\x7e]{4}/i
    $script = /<script\s+language\s*=\s*["']?php["']?\s*>/i
  condition:
    (uint32be(0) == 0x47494638 or uint32be(0) >> 8 == 0xFFD8FF or uint32be(0) == 0x89504E47 or uint32be(0) == 0x52494646 or uint32be(0) == 0x00000100 or uint32be(0) == 0x49492A00 or uint32be(0) == 0x4D4D002A
      or uint32be(0) == 0x25504446 or uint32be(0) >> 8 == 0x494433 or uint32be(4) == 0x66747970 // ico, tiff, pdf, mp3, mp4
      or (uint16be(0) == 0x424D and (uint32be(6) == 0 or filesize < 4KB))) // bmp
    and any of ($php, $short, $bare, $script)
}

rule picture_with_script {
  meta:
    description = "A picture holds JSP, ASP, a shell script or a PHP archive"
    severity = "suspect"
    attack = "T1036.008"
  strings:
    $jsp = /<%(@|!|=)?\s{0,20}(page|import|eval|execute|Runtime|request|response|out\.|String|java|Set|Dim|Process|if)[\t\r\n\x20-\x7e]{6}/i
    $phar = /__HALT_COMPILER\s*\(\s*\)\s*;/
    $shell = /\n#!\s?\/(bin|usr)\/[\x20-\x7e]{2,40}\n/
  condition:
    (uint32be(0) == 0x47494638 or uint32be(0) >> 8 == 0xFFD8FF or uint32be(0) == 0x89504E47 or uint32be(0) == 0x52494646) and any of ($jsp, $phar, $shell)
}

rule picture_code_in_metadata {
  meta:
    description = "A picture's metadata hold a call that runs code"
    severity = "suspect"
    attack = "T1027.003"
  strings:
    $call = /(eval|assert|system|passthru|shell_exec|base64_decode|gzinflate|preg_replace)\s*\(\s*[@"'$\/(][\x20-\x7e]{8}/i
    $modifier = /\/\.\*\/e[\x00-\x20]/
    $encoded = /(ZXZhbCg|ZXZhbC|c3lzdGVtK|YXNzZXJ0K|JF9QT1NU|JF9HRV|JF9SRVFVRVNU|PD9waHA)[A-Za-z0-9+\/=]{8}/
  condition:
    (uint32be(0) == 0x47494638 or uint32be(0) >> 8 == 0xFFD8FF or uint32be(0) == 0x89504E47 or uint32be(0) == 0x52494646) and any of ($call, $modifier, $encoded)
}

rule svg_with_script {
  meta:
    description = "An SVG picture with a script, a handler of events or a foreign page"
    severity = "info"
    attack = "T1027.017"
  strings:
    $svg = "<svg" nocase
    $script = /<script[\s>]/i
    $event = /\son(load|click|error|mouseover|begin)\s*=\s*["']/i
  condition:
    $svg in (0..2000) and any of ($script, $event) and filesize < 1MB
}
