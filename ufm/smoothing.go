package ufm

var smoothingQuestions []Question
