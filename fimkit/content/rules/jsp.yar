// JSP that runs, loads or stores what a request brings.

rule jsp_exec_request {
  meta:
    description = "JSP runs a command from the request"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $jsp = /<%|<jsp:(scriptlet|root|directive)|<\?xml[^>]{0,80}>\s*<jsp:/i
    $exec = /(getRuntime\s*\(\s*\)|\bRuntime\b|\b\w{1,20})(\s|\/\*[^*]*\*+\/)*\.(\s|\/\*[^*]*\*+\/)*exec(\s|\/\*[^*]*\*+\/)*\(/
    $builder = /(ProcessBuilder|ProcessImpl|UNIXProcess)\b/
    $request = /\b(request|req|[a-z])(\s|\/\*[^*]*\*+\/)*\.(\s|\/\*[^*]*\*+\/)*(getParameter(Map|Values|Names)?|getHeader|getQueryString|getInputStream|getReader|getCookies)(\s|\/\*[^*]*\*+\/)*\(|\$\{\s*param[.\[]|getPart\s*\(/
    $reflect = /(Class(\s|\/\*[^*]*\*+\/)*\.(\s|\/\*[^*]*\*+\/)*forName|loadClass)(\s|\/\*[^*]*\*+\/)*\(/
    $method = /\.\s*(getMethod|getDeclaredMethod|getDeclaredConstructor|getDeclaredField|invoke)\s*\(/
    $runtime = /java\.lang\.(Runtime|ProcessBuilder|ProcessImpl)|new\s+String\s*\(\s*new\s+byte|"java\.l[^"]{0,12}"\s*\+|"\w{0,12}time"|decodeBuffer|Base64|\.reverse\s*\(/
    $script = /ScriptEngineManager\b/
    $eval = /\.\s*eval\s*\(/
  condition:
    filesize < 600KB and $jsp and $request and ($exec or $builder or ($reflect and $method and $runtime) or ($script and $eval))
}

rule jsp_loads_class {
  meta:
    description = "JSP makes a class out of bytes that the request brings, or of a text"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $jsp = /<%|<jsp:(scriptlet|root|declaration|directive)/i
    $define = /defineClass|URLClassLoader|defineAnonymousClass|MethodHandles\.Lookup/
    $loader = /extends\s+ClassLoader|ClassLoader/
    $request = /request\s*\.\s*(getParameter|getHeader|getInputStream|getReader|getAttribute)|getSession|session\.(put|get)/
    $object = /new\s+(java\.io\.)?ObjectInputStream\s*\([^;]{0,80}request\s*\.|XMLDecoder\s*\([^;]{0,80}request\s*\./
    $cipher = /Cipher\.getInstance|SecretKeySpec|Base64|decodeBuffer|BASE64Decoder/
  condition:
    $jsp and ($object or ($define and (($loader and $cipher) or $request)))
}

rule jsp_writes_file {
  meta:
    description = "A small JSP that writes a file out of the request"
    severity = "suspect"
    attack = "T1105"
  strings:
    $jsp = /<%|<jsp:(scriptlet|root|declaration)/i
    $write = /new\s+(java\.io\.)?(FileOutputStream|FileWriter|RandomAccessFile|PrintWriter\s*\(\s*new\s+\w*File)\b|Files\s*\.\s*(write|copy|newOutputStream)|FileUtils\.write/
    $request = /request\s*\.\s*(getParameter|getHeader|getInputStream|getReader|getPart|getParts)\s*\(/
    $path = /getRealPath|application\.get|\.jspx?["']|new\s+(java\.io\.)?\w*(File|Writer|Stream)\s*\(\s*(request|\w{1,20}\s*\+|new)|Paths?\s*\.\s*(get|of)\s*\(\s*request/
  condition:
    $jsp and $write and $request and $path
}

rule jsp_disguised {
  meta:
    description = "JSP spells its program in escapes"
    severity = "suspect"
    attack = "T1027"
  strings:
    $jsp = /<%|<jsp:(scriptlet|declaration)/i
    $escapes = /(\\u{1,6}00[2-7][0-9a-f]){5}/i
    $entities = /<jsp:(scriptlet|declaration)>\s*(&#x?[0-9a-f]{2,4};){8}/i
    $run = /exec|Runtime|ProcessBuilder|defineClass|getParameter|\\u{1,6}00/i
    $name = /[\s({;!=.,][A-Za-z]{0,16}(\\u{1,6}00(4[1-9a-f]|5[0-9a]|6[1-9a-f]|7[0-9a])){1,4}[A-Za-z]{1,16}\s*[.(]|[.\s][A-Za-z]{1,16}(\\u{1,6}00(4[1-9a-f]|5[0-9a]|6[1-9a-f]|7[0-9a])){1,4}[A-Za-z]{0,16}\s*[.(]/
    $scriptlet = /<%[^@=-]|<jsp:(scriptlet|declaration)/
    $request = /\.\s*(getParameter|getHeader|getInputStream|getReader|getQueryString|getCookies)\s*\(/
  condition:
    $jsp and (($run and any of ($escapes, $entities)) or ($scriptlet and $name and $request))
}

rule jsp_expression_runs {
  meta:
    description = "A JSP or template expression reaches for the class that runs commands"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $el = /[$#%]\{[^}\n]{0,200}(getClass\s*\(\s*\)|\.class)\s*\.?\s*(forName|getClassLoader|\[)[^}\n]{0,200}/
    $static = /[$#%]\{[^}\n]{0,120}(T\s*\(\s*java\.lang\.Runtime|@java\.lang\.Runtime@|Runtime\.getRuntime|ProcessBuilder|java\.lang\.Process)/
    $freemarker = /freemarker\.template\.utility\.Execute|\?new\(\)\s*\(\s*["']/
  condition:
    any of them
}
